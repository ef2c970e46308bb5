# What the benchmarks run on: one source of HAM10000 from a table of images, small. In
# data_root lies ham10000.csv with the columns file, dx, lesion_id, split and source.
_base_ = ['../../../configs/_base_/datasets/table.py']

data_root = 'data/ham10000'
table = dict(
    file='ham10000.csv',
    image='file',
    label='dx',
    group='lesion_id',
    split='split',
    filter=dict(source='vidir_modern'),
)
data_preprocessor = dict(num_classes=7)
image_size = 96
train_dataloader = dict(batch_size=64, num_workers=2)
val_dataloader = dict(batch_size=64, num_workers=2)
test_dataloader = dict(batch_size=64, num_workers=2)
val_evaluator = [
    dict(type='MulticlassMetric', items=['macro_recall', 'accuracy']),
    dict(type='ValidationLoss'),
]
selection = dict(metric='macro_recall', rule='greater')
