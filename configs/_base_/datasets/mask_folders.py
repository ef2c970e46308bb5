# Your own images and masks, in two folders. docs/segmentation.md walks through it.
_base_ = './masked_images.py'

data_root = 'data/own'
images = 'images'
# A folder; 'masks/{}_mask', where {} is the path of the image without extension; or a
# dict from each class but the first to such a path.
masks = 'masks'
# A regular expression that finds the patient in the path below `images`.
group_pattern = None
# Files and folders to leave out, of images and of masks.
exclude = None

dataset = dict(
    type='MaskDataset',
    data_root='${data_root}',
    images='${images}',
    masks='${masks}',
    classes='${classes}',
    label_map='${label_map}',
    group_pattern='${group_pattern}',
    exclude='${exclude}',
)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del dataset
