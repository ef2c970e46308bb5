_base_ = [
    './_base_/models/efficientnet_lite0.py',
    './_base_/datasets/folders.py',
    './_base_/comparisons/paper.py',
    './_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_folders_efficientnet_lite0/ingredients.json',
    fgg='work_dirs/fgg_folders_efficientnet_lite0/ingredients.json',
)
