# A small UNet of mmsegmentation, 0.11 million weights, which trains on a CPU.
# From random weights: no package ships pretrained ones of it.
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='UNet',
        in_channels=3,
        base_channels=8,
        num_stages=4,
        strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2),
        dec_num_convs=(2, 2, 2),
        downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1),
        dec_dilations=(1, 1, 1),
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='ReLU'),
        upsample_cfg=dict(type='InterpConv'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=8,
        in_index=3,
        channels=8,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=dict(type='BN'),
        align_corners=False,
        # mmsegmentation's 0.01 leaves so few features silent for ten epochs.
        init_cfg=dict(type='Normal', std=0.2, override=dict(name='conv_seg')),
        # No class_weight: with it the best epoch is of another kind than the soups.
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

# ImageNet's, as of all that is not known; data sets may say their own.
normalization = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
