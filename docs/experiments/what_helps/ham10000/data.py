# HAM10000 on half of one Viennese source, tested on its cases and on those of an
# Australian practice; 64 px.
_base_ = ['../../ham10000/data.py', '../scores.py']

# Every other training image.
train_dataloader = dict(batch_size=32, dataset=dict(indices=list(range(0, 2356, 2))))

val_evaluator = '${scores}'
