_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_cifar10_resnet50/ingredients.json',
    fgg='work_dirs/fgg_cifar10_resnet50/ingredients.json',
)
published = dict(backbone='ResNet50', dataset='CIFAR10')
