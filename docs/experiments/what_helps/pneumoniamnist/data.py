# PneumoniaMNIST on a quarter of its training images; 28 px.
_base_ = ['../../pneumoniamnist/data.py', '../scores.py']

train_dataloader = dict(dataset=dict(indices=1177))

val_evaluator = '${scores}'
selection = dict(metric='macro_recall', rule='greater')
