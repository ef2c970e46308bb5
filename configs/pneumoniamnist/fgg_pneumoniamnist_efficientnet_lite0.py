_base_ = [
    '../_base_/models/efficientnet_lite0.py',
    '../_base_/datasets/pneumoniamnist.py',
    '../_base_/schedules/fgg.py',
    '../_base_/default_runtime.py',
]
