# PneumoniaMNIST on a quarter of its training images; 28 px.
_base_ = '../../pneumoniamnist/data.py'

train_dataloader = dict(dataset=dict(indices=1177))

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
selection = dict(metric='macro_recall', rule='greater')
