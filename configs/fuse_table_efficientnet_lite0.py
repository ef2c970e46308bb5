_base_ = [
    './_base_/models/efficientnet_lite0.py',
    './_base_/datasets/table.py',
    './_base_/fuse.py',
    './_base_/default_runtime.py',
]

pool = 'work_dirs/fgg_table_efficientnet_lite0/ingredients.json'
