# What all data sets of images have in common: pipelines, loaders, metrics. A data set
# adds where it lies, its number of classes and its type; see its neighbours.
_base_ = ['../augmentations.py']

image_size = 224

data_preprocessor = dict(
    # Those of the model's pretrained weights; the images are loaded as BGR.
    mean='${normalization.mean}',
    std='${normalization.std}',
    to_rgb=True,
)

# How an image gets into memory; an empty list if it is there already.
load = [dict(type='LoadImageFromFile')]

train_pipeline = [
    '${load}',
    '${augmentations.${augmentation}}',
    dict(type='PackInputs'),
]
test_pipeline = [
    '${load}',
    # To a square, whatever the shape of the image; Pillow as in augmentations.py.
    dict(type='Resize', scale='${image_size}', backend='pillow'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    # As many as there are cores for this process. What comes out goes by a number, if
    # one is given, and not by 'auto': then it is the same on all machines.
    num_workers='auto',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline='${train_pipeline}'),
)
val_dataloader = dict(
    batch_size=128,
    num_workers='auto',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline='${test_pipeline}', test_mode=True),
)
test_dataloader = dict(
    batch_size=128,
    num_workers='auto',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline='${test_pipeline}', test_mode=True),
)
# Name -> data loader; what is not said is as in test_dataloader. For example
#     --cfg-options ood_dataloaders.other.dataset.image_list=ood.txt
ood_dataloaders = dict()

val_evaluator = [dict(type='MulticlassMetric'), dict(type='ValidationLoss')]
test_evaluator = '${val_evaluator}'
