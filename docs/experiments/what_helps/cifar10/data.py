# Natural images, 1,500 of them for training; 32 px. In data_root lies
# cifar10_subset.csv, a row an image: file, class and split.
_base_ = ['../../cifar10_subset/data.py', '../scores.py']

table = dict(file='cifar10_subset.csv')
image_size = 32
train_dataloader = dict(dataset=dict(indices=list(range(0, 9000, 6))))
# As many as the medical sets have.
val_dataloader = dict(dataset=dict(indices=list(range(0, 1000, 3))))

val_evaluator = '${scores}'
