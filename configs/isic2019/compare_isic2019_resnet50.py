_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/isic2019.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_isic2019_resnet50/ingredients.json',
    fgg='work_dirs/fgg_isic2019_resnet50/ingredients.json',
)
