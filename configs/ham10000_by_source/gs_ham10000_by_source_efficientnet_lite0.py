_base_ = [
    '../_base_/models/efficientnet_lite0.py',
    '../_base_/datasets/ham10000_by_source.py',
    '../_base_/schedules/gs.py',
    '../_base_/default_runtime.py',
]
