# HAM10000 the other way round: the Australian practice in-domain, the Viennese source
# out of it; 64 px.
_base_ = ['../../ham10000/data.py', '../scores.py']

table = dict(filter=dict(source='rosendahl'))
vienna = dict(
    file='ham10000.csv',
    image='file',
    label='dx',
    group='lesion_id',
    split='split',
    filter=dict(source='vidir_modern'),
)
ood_dataloaders = dict(
    _delete_=True, vidir_modern=dict(dataset=dict(table=vienna, split='all'))
)
del vienna
# Every other training image.
train_dataloader = dict(batch_size=32, dataset=dict(indices=list(range(0, 1582, 2))))

val_evaluator = '${scores}'
