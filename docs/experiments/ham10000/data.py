# One Viennese source of HAM10000 in-domain, an Australian practice out-of-distribution;
# EfficientNet-Lite0 from its ImageNet weights, 64 px, on two cores of a CPU.
#
# In data_root lies ham10000.csv, a row an image: file, dx, lesion_id, source and split,
# which keeps the images of a lesion together. It is made of HAM10000_metadata (Harvard
# Dataverse, doi 10.7910/DVN/DBW86T), whose column dataset is source; the split is ours.
_base_ = [
    '../../../configs/_base_/models/efficientnet_lite0.py',
    '../../../configs/_base_/datasets/table.py',
    '../../../configs/_base_/default_runtime.py',
]

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
image_size = 64
train_dataloader = dict(batch_size=64, num_workers=2)
val_dataloader = dict(batch_size=64, num_workers=1)
test_dataloader = dict(batch_size=64, num_workers=1)
australia = dict(table, filter=dict(source='rosendahl'))
ood_dataloaders = dict(rosendahl=dict(dataset=dict(table=australia, split='all')))
del australia

val_evaluator = [
    dict(
        type='MulticlassMetric',
        items=['macro_recall', 'macro_f1', 'accuracy'],
        per_class=['recall'],
    ),
    dict(type='AUROC'),
    dict(type='ValidationLoss'),
]
selection = dict(metric='macro_recall', rule='greater')
