# PneumoniaMNIST on half of its training images; 28 px.
_base_ = '../../pneumoniamnist/data.py'

val_evaluator = [
    dict(type='MulticlassMetric', items=['macro_recall', 'macro_f1', 'accuracy']),
    dict(type='AUROC'),
    dict(type='ValidationLoss'),
]
selection = dict(metric='macro_recall', rule='greater')
