_base_ = [
    '../_base_/models/resnet50_multilabel.py',
    '../_base_/datasets/chexpert.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_chexpert_resnet50/ingredients.json',
    fgg='work_dirs/fgg_chexpert_resnet50/ingredients.json',
)
published = dict(backbone='ResNet50', dataset='CheXpert')
