# HAM10000, all four sources: each is a hospital or a camera with cases of its own.
# Models are validated and tested on all of them; EfficientNet-Lite0 from its ImageNet
# weights, 64 px, on two cores of a CPU.
#
# In data_root lies ham10000.csv, a row an image: file, dx, lesion_id, source and split,
# which keeps the images of a lesion together.
_base_ = [
    '../../../configs/_base_/models/efficientnet_lite0.py',
    '../../../configs/_base_/datasets/table.py',
    '../../../configs/_base_/default_runtime.py',
]

data_root = 'data/ham10000'
table = dict(
    file='ham10000.csv', image='file', label='dx', group='lesion_id', split='split'
)
# Not every source has every class; all are numbered alike.
classes = ['akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc']
data_preprocessor = dict(num_classes=7)
image_size = 64
train_dataloader = dict(batch_size=64, num_workers=2)
val_dataloader = dict(batch_size=64, num_workers=1)
test_dataloader = dict(batch_size=64, num_workers=1)
# Each source's part of the test set.
ood_dataloaders = {
    source: dict(dataset=dict(table=dict(filter=dict(source=source), **table)))
    for source in ('vidir_modern', 'vidir_molemax', 'vienna_dias', 'rosendahl')
}

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
