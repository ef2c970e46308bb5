# GoG over the FGG pool of ResNet-50 on CheXpert.
_base_ = ['./chexpert/gog_chexpert_resnet50.py']
