_base_ = [
    '../_base_/models/efficientnet_lite0_multilabel.py',
    '../_base_/datasets/multilabel_table.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_multilabel_table_efficientnet_lite0/ingredients.json',
    fgg='work_dirs/fgg_multilabel_table_efficientnet_lite0/ingredients.json',
)
