_base_ = [
    './_base_/models/resnet50.py',
    './_base_/datasets/folders.py',
    './_base_/fuse.py',
    './_base_/default_runtime.py',
]

pool = 'work_dirs/fgg_folders_resnet50/ingredients.json'
