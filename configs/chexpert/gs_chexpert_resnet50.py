_base_ = [
    '../_base_/models/resnet50_multilabel.py',
    '../_base_/datasets/chexpert.py',
    '../_base_/schedules/gs.py',
    '../_base_/default_runtime.py',
]
