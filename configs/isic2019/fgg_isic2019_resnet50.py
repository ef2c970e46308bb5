_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/isic2019.py',
    '../_base_/schedules/fgg.py',
    '../_base_/default_runtime.py',
]
