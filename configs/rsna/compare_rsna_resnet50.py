_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/rsna.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_rsna_resnet50/ingredients.json',
    fgg='work_dirs/fgg_rsna_resnet50/ingredients.json',
)
published = dict(backbone='ResNet50', dataset='RSNA')
