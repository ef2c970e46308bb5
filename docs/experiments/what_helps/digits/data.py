# scikit-learn's digits; ResNet-18 from random weights.
_base_ = [
    '../scores.py',
    '../../../../configs/_base_/models/resnet18.py',
    '../../../../configs/_base_/datasets/digits.py',
    '../../../../configs/_base_/default_runtime.py',
]

val_evaluator = '${scores}'
