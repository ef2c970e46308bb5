_base_ = [
    '../_base_/models/deit_small.py',
    '../_base_/datasets/eyepacs.py',
    '../_base_/schedules/fgg.py',
    '../_base_/default_runtime.py',
]
