# Cell nuclei of the 2018 Data Science Bowl, 128 px (CC0): 180, 60 and 60 fluorescence
# images; the sets of two other kinds of images are out-of-distribution. Layout:
# images/<set>/*.png and masks/<set>/*.png, 0 background, 1 nucleus.
_base_ = './masked_images.py'

image_size = 128
classes = ['background', 'nucleus']
num_classes = 2
data_root = 'data/nuclei'

dataset = dict(
    type='MaskDataset',
    data_root='${data_root}',
    classes='${classes}',
    exclude=['microscope', 'histology'],
)
# Small images in a small set: workers would cost more than they give.
train_dataloader = dict(batch_size=8, num_workers=0, dataset=dataset)
val_dataloader = dict(num_workers=0, dataset=dataset)
test_dataloader = dict(num_workers=0, dataset=dataset)
del dataset

ood_dataloaders = dict(
    # Fluorescence, from other laboratories.
    microscope=dict(
        dataset=dict(
            images='images/microscope',
            masks='masks/microscope',
            exclude=None,
            split='all',
        )
    ),
    # Stained tissue, of which there is none in training.
    histology=dict(
        dataset=dict(
            images='images/histology',
            masks='masks/histology',
            exclude=None,
            split='all',
        )
    ),
)

# Large images and small ones alike, and the nuclei alone.
val_evaluator = [
    dict(type='SegmentationMetric', leave_out=['background']),
    dict(type='MaskLoss'),
]
