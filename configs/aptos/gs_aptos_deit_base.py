_base_ = [
    '../_base_/models/deit_base.py',
    '../_base_/datasets/aptos.py',
    '../_base_/schedules/gs.py',
    '../_base_/default_runtime.py',
]
