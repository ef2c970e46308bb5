_base_ = [
    './_base_/models/resnet50.py',
    './_base_/datasets/ham10000.py',
    './_base_/fuse.py',
    './_base_/default_runtime.py',
]

pool = 'work_dirs/fgg_ham10000_resnet50/ingredients.json'
