# Your own data: a folder for each class. docs/own_data.md walks through it.
_base_ = ['./images.py']

data_root = 'data/own'
# All classes in the order of their numbers; None: the folders, sorted.
classes = None
# A regular expression that finds the patient in the name of a file.
group_pattern = None
# One that finds the class in the path of an image; None: it is the folder.
label_pattern = None
# Files and folders to leave out, such as ['*_mask.png', 'masks'].
exclude = None
data_preprocessor = dict(num_classes=2)

dataset = dict(
    type='FolderDataset',
    data_root='${data_root}',
    classes='${classes}',
    exclude='${exclude}',
    group_pattern='${group_pattern}',
    label_pattern='${label_pattern}',
)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del dataset

selection = dict(metric='macro_recall', rule='greater')
