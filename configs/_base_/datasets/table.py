# Your own data: a table with one row an image. docs/own_data.md walks through it.
_base_ = ['./images.py']

data_root = 'data/own'
# The file, and what its columns mean; all keys are in
# ff_mm/datasets/tables/table_description.py.
table = dict(file='cases.csv', image='image', label='label')
# All classes in the order of their numbers; None: those in the table, sorted.
classes = None
# Files and folders to leave out, such as ['*_mask.png', 'masks'].
exclude = None
data_preprocessor = dict(num_classes=2)

dataset = dict(
    type='TableDataset',
    data_root='${data_root}',
    table='${table}',
    classes='${classes}',
    exclude='${exclude}',
)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del dataset

selection = dict(metric='macro_recall', rule='greater')
