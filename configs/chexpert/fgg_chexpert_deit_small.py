_base_ = [
    '../_base_/models/deit_small_multilabel.py',
    '../_base_/datasets/chexpert.py',
    '../_base_/schedules/fgg.py',
    '../_base_/default_runtime.py',
]
