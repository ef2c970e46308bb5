# HAM10000, seven skin lesions. See ff_mm/datasets/ham10000.py for the two forms in
# which it may lie in data_root; with that of ISIC 2018 these are the published splits.
#
# One source in-domain and another out-of-distribution, with the Dataverse form:
#     train_dataloader = dict(dataset=dict(sources=['vidir_modern']))
#     val_dataloader = dict(dataset=dict(sources=['vidir_modern']))
#     test_dataloader = dict(dataset=dict(sources=['vidir_modern']))
#     ood_dataloaders = dict(rosendahl=dict(dataset=dict(
#         split='all', sources=['rosendahl'], exclude_lesions_of=['vidir_modern'])))
_base_ = ['../augmentations.py']

data_root = 'data/ham10000'
image_size = 224

data_preprocessor = dict(
    num_classes=7,
    # Those of the model's pretrained weights; the images are loaded as BGR.
    mean='${normalization.mean}',
    std='${normalization.std}',
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    '${augmentations.${augmentation}}',
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # To a square, whatever the shape of the image; Pillow as in augmentations.py.
    dict(type='Resize', scale='${image_size}', backend='pillow'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    # Workers are seeded anew in every epoch, so they must start anew.
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='HAM10000',
        data_root='${data_root}',
        split='train',
        pipeline='${train_pipeline}',
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='HAM10000',
        data_root='${data_root}',
        split='val',
        pipeline='${test_pipeline}',
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='HAM10000',
        data_root='${data_root}',
        split='test',
        pipeline='${test_pipeline}',
        test_mode=True,
    ),
)
# Name -> data loader; what is not said is as in test_dataloader. For example
#     --cfg-options ood_dataloaders.other.dataset.image_list=ood.txt
ood_dataloaders = dict()

val_evaluator = [dict(type='MulticlassMetric'), dict(type='ValidationLoss')]
test_evaluator = [dict(type='MulticlassMetric'), dict(type='ValidationLoss')]

# By which validation metric ingredients are ranked and soups are chosen.
selection = dict(metric='macro_recall', rule='greater')
