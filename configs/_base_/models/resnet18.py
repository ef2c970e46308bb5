# Without pretrained weights: nothing is downloaded.
_base_ = 'mmpretrain::_base_/models/resnet18.py'

model = dict(head=dict(num_classes='${data_preprocessor.num_classes}', topk=(1,)))
