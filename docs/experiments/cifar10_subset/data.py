# As many natural images as ../ham10000 has of skin, with the same network, size and
# schedules: the smooth case to hold its error surface against.
#
# In data_root lies cifar10_small.csv, a row an image: file, class and split.
_base_ = [
    '../../../configs/_base_/models/efficientnet_lite0.py',
    '../../../configs/_base_/datasets/table.py',
    '../../../configs/_base_/default_runtime.py',
]

data_root = 'data/cifar10_subset'
table = dict(file='cifar10_small.csv', image='file', label='class', split='split')
data_preprocessor = dict(num_classes=10)
image_size = 64
train_dataloader = dict(batch_size=64, num_workers=2)
val_dataloader = dict(batch_size=64, num_workers=1)
test_dataloader = dict(batch_size=64, num_workers=1)

val_evaluator = [
    dict(type='MulticlassMetric', items=['accuracy', 'macro_recall', 'macro_f1']),
    dict(type='ValidationLoss'),
]
selection = dict(metric='accuracy', rule='greater')
