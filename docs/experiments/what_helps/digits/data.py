# scikit-learn's digits; ResNet-18 from random weights.
_base_ = [
    '../../../../configs/_base_/models/resnet18.py',
    '../../../../configs/_base_/datasets/digits.py',
    '../../../../configs/_base_/default_runtime.py',
]

val_evaluator = [
    dict(
        type='MulticlassMetric',
        items=[
            'accuracy',
            'macro_recall',
            'macro_f1',
            'soft_accuracy',
            'soft_macro_recall',
        ],
    ),
    dict(type='AUROC'),
    dict(type='ValidationLoss'),
]
