_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/aptos.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_aptos_resnet50/ingredients.json',
    fgg='work_dirs/fgg_aptos_resnet50/ingredients.json',
)
published = dict(backbone='ResNet50', dataset='APTOS')
