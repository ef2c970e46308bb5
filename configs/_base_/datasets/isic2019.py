# ISIC 2019, eight skin lesions. See ff_mm/datasets/isic2019.py for what must lie in
# data_root. The test set is the official one where its table is there.
_base_ = ['./images.py']

data_root = 'data/isic2019'
data_preprocessor = dict(num_classes=8)

dataset = dict(type='ISIC2019', data_root='${data_root}')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
del dataset

# By which validation metric ingredients are ranked and soups are chosen.
selection = dict(metric='macro_recall', rule='greater')
