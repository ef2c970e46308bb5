_base_ = [
    '../_base_/models/deit_small.py',
    '../_base_/datasets/rsna.py',
    '../_base_/schedules/gs.py',
    '../_base_/default_runtime.py',
]
