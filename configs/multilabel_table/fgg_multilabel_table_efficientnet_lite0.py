_base_ = [
    '../_base_/models/efficientnet_lite0_multilabel.py',
    '../_base_/datasets/multilabel_table.py',
    '../_base_/schedules/fgg.py',
    '../_base_/default_runtime.py',
]
