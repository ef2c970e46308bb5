_base_ = [
    './_base_/models/resnet18.py',
    './_base_/datasets/digits.py',
    './_base_/fuse.py',
    './_base_/default_runtime.py',
]

pool = 'work_dirs/fgg_digits_resnet18/ingredients.json'
