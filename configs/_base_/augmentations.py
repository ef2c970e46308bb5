# The three levels of augmentation between which the paper's grid search chooses. Which
# one trains stands in `augmentation` alone:
#     --cfg-options augmentation=medium
# A pipeline takes it in with '${augmentations.${augmentation}}'. Test images are only
# resized.
augmentation = 'heavy'

# The authors' pipelines are torchvision's. Hence Pillow resizes, which smooths when it
# shrinks an image, as the pretrained weights have seen it; OpenCV's bilinear does not.
augmentations = dict(
    minimal=[
        dict(
            type='RandomResizedCrop',
            scale='${image_size}',
            crop_ratio_range=(0.9, 1.0),
            backend='pillow',
        ),
    ],
    medium=[
        dict(
            type='RandomResizedCrop',
            scale='${image_size}',
            crop_ratio_range=(0.08, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3),
            backend='pillow',
        ),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        # Without hue, which dies at random with mmcv on numpy 2. Both backends do the
        # same; that of Pillow warns in every worker.
        dict(
            type='ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            backend='cv2',
        ),
    ],
    heavy=[
        # Up to 1.2 as in the authors' code: a crop larger than the image does not fit
        # and is drawn anew; after ten such draws it is the image as it is.
        dict(
            type='RandomResizedCrop',
            scale='${image_size}',
            crop_ratio_range=(0.7, 1.2),
            backend='pillow',
        ),
        # torchvision's RandAugment and not MMPretrain's: its magnitude 15 is of 30, it
        # has neither Invert nor SolarizeAdd, and applies an operation whenever it is
        # drawn, where timm's policy does so in half of the cases.
        dict(type='NumpyToPIL', to_rgb=True),
        dict(type='torchvision/RandAugment', num_ops=2, magnitude=15),
        dict(type='PILToNumpy', to_bgr=True),
    ],
)
