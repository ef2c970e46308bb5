_base_ = [
    './_base_/models/efficientnet_lite0.py',
    './_base_/datasets/folders.py',
    './_base_/fuse.py',
    './_base_/default_runtime.py',
]

pool = 'work_dirs/fgg_folders_efficientnet_lite0/ingredients.json'
