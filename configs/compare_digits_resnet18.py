_base_ = [
    './_base_/models/resnet18.py',
    './_base_/datasets/digits.py',
    './_base_/comparisons/paper.py',
    './_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_digits_resnet18/ingredients.json',
    fgg='work_dirs/fgg_digits_resnet18/ingredients.json',
)
