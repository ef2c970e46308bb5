# mmpretrain's ResNet-50 with its ImageNet weights. For a local file:
#     --cfg-options model.backbone.init_cfg.checkpoint=resnet50.pth
_base_ = 'mmpretrain::_base_/models/resnet50.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
            'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
            prefix='backbone',
        )
    ),
    head=dict(num_classes='${data_preprocessor.num_classes}', topk=(1,)),
)

# What the weights expect: ImageNet's mean and standard deviation, RGB.
normalization = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
