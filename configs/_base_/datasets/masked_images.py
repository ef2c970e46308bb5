# What all data sets with masks have in common: pipelines, loaders, metrics. A data set
# adds where it lies, its classes and its type; see its neighbours.
_base_ = ['../augmentations_masks.py']

# A multiple of what the network shrinks an image by, 8 of unet_small.
image_size = 256
# All in the order of their numbers, the background as well.
classes = ['background', 'object']
num_classes = 2
# Value in a mask -> class, or None: does not count. dict() is: the values are numbers.
label_map = dict()

data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean='${normalization.mean}',
    std='${normalization.std}',
    bgr_to_rgb=True,
    # Batches are of one size already.
    size_divisor=1,
    seg_pad_val=255,
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadMask'),
    '${augmentations.${augmentation}}',
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=('${image_size}', '${image_size}')),
    # Last: predictions are of the size that the image had.
    dict(type='LoadMask'),
    dict(type='PackSegInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers='auto',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline='${train_pipeline}'),
)
val_dataloader = dict(
    batch_size=16,
    num_workers='auto',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline='${test_pipeline}', test_mode=True),
)
test_dataloader = dict(
    batch_size=16,
    num_workers='auto',
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline='${test_pipeline}', test_mode=True),
)
# Name -> data loader; what is not said is as in test_dataloader.
ood_dataloaders = dict()

val_evaluator = [dict(type='SegmentationMetric'), dict(type='MaskLoss')]
test_evaluator = '${val_evaluator}'

selection = dict(metric='mdice', rule='greater')
