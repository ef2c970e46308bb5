# PneumoniaMNIST, a smooth task beside HAM10000; EfficientNet-Lite0 from its ImageNet
# weights, 28 px, on half of the training images. In data_root lies pneumoniamnist.npz,
# as MedMNIST offers it.
_base_ = [
    '../../../configs/_base_/models/efficientnet_lite0.py',
    '../../../configs/_base_/datasets/pneumoniamnist.py',
    '../../../configs/_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=64, num_workers=2, dataset=dict(indices=2354))
val_dataloader = dict(batch_size=64, num_workers=1)
test_dataloader = dict(batch_size=64, num_workers=1)
