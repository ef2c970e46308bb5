# What is evaluated in every setting, with the soft scores that rules select by; a
# setting's data.py refers to it.
scores = [
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
