_base_ = [
    '../_base_/models/deit_small_multilabel.py',
    '../_base_/datasets/chexpert.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_chexpert_deit_small/ingredients.json',
    fgg='work_dirs/fgg_chexpert_deit_small/ingredients.json',
)
