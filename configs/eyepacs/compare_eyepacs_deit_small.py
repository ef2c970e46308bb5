_base_ = [
    '../_base_/models/deit_small.py',
    '../_base_/datasets/eyepacs.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_eyepacs_deit_small/ingredients.json',
    fgg='work_dirs/fgg_eyepacs_deit_small/ingredients.json',
)
