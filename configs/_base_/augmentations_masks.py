# The three levels of augmentation for images with masks: mmcv's and mmsegmentation's
# transforms, which move both together. Which one trains stands in `augmentation` alone:
#     --cfg-options augmentation=heavy
augmentation = 'medium'

augmentations = dict(
    minimal=[
        dict(type='Resize', scale=('${image_size}', '${image_size}')),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
    medium=[
        dict(
            type='RandomResize',
            scale=('${image_size}', '${image_size}'),
            ratio_range=(1.0, 1.5),
        ),
        dict(type='RandomCrop', crop_size='${image_size}'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
    heavy=[
        dict(
            type='RandomResize',
            scale=('${image_size}', '${image_size}'),
            ratio_range=(1.0, 2.0),
        ),
        dict(type='RandomCrop', crop_size='${image_size}'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        # What is turned in from outside is black, and does not count (255).
        dict(type='RandomRotate', prob=0.5, degree=30),
        dict(type='PhotoMetricDistortion'),
    ],
)
