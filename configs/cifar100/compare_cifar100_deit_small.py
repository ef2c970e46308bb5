_base_ = [
    '../_base_/models/deit_small.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_cifar100_deit_small/ingredients.json',
    fgg='work_dirs/fgg_cifar100_deit_small/ingredients.json',
)
