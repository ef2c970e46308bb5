_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/eyepacs.py',
    '../_base_/schedules/gs.py',
    '../_base_/default_runtime.py',
]
