_base_ = [
    './_base_/models/unet_small.py',
    './_base_/datasets/nuclei_masks.py',
    './_base_/soups/gog.py',
    './_base_/segmentation_runtime.py',
]

ingredients = 'work_dirs/fgg_nuclei_unet/ingredients.json'
