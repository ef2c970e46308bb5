_base_ = [
    './_base_/models/unet_small.py',
    './_base_/datasets/mask_folders.py',
    './_base_/comparisons/soups_of_fission.py',
    './_base_/segmentation_runtime.py',
]

pools = dict(fgg='work_dirs/fgg_mask_folders_unet/ingredients.json')
