_base_ = [
    '../_base_/models/efficientnet_lite0.py',
    '../_base_/datasets/ham10000_by_source.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_ham10000_by_source_efficientnet_lite0/ingredients.json',
    fgg='work_dirs/fgg_ham10000_by_source_efficientnet_lite0/ingredients.json',
)
