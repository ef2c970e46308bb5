_base_ = [
    './_base_/models/unet_small.py',
    './_base_/datasets/mask_folders.py',
    './_base_/soups/gog.py',
    './_base_/segmentation_runtime.py',
]

ingredients = 'work_dirs/fgg_mask_folders_unet/ingredients.json'
