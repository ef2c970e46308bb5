# Your own images and masks, and a table with a column for each. docs/segmentation.md
# walks through it.
_base_ = './masked_images.py'

data_root = 'data/own'
# Where the images are, and the masks, below data_root.
data_prefix = ''
masks = ''
table = dict(file='cases.csv', image='image', mask='mask', group=None, split=None)

dataset = dict(
    type='MaskTableDataset',
    data_root='${data_root}',
    data_prefix='${data_prefix}',
    masks='${masks}',
    table='${table}',
    classes='${classes}',
    label_map='${label_map}',
)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del dataset
