_base_ = [
    '../_base_/models/unet_small.py',
    '../_base_/datasets/mask_table.py',
    '../_base_/soups/gog.py',
    '../_base_/segmentation_runtime.py',
]

ingredients = 'work_dirs/fgg_mask_table_unet/ingredients.json'
