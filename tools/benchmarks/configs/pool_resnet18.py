_base_ = ['./pool.py', '../../../configs/_base_/models/resnet18.py']

# Without pretrained weights there is nothing to probe: a common start instead.
plan = dict(probe=dict(freeze=False))
