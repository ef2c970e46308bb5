# The quickstart's plan on five folds of training and validation images together: each
# of the 1,078 images validates once, where the quickstart has 719 that do. Its soup is
# that of folds_digits_resnet18.py.
_base_ = [
    '../_base_/models/resnet18.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/fgg.py',
    '../_base_/default_runtime.py',
]

plan = dict(
    folds=5,
    lrs=[1e-3, 2e-4],
    # As in fgg_digits_resnet18.py, from random weights: nothing is common to the folds
    # but these, so their mean may not hold, which the soup then says.
    probe=dict(epochs=15, freeze=False),
    base=dict(epochs=6),
    fission=dict(epochs=5, cycle=2, phase=0, max_lr=1e-3, min_lr=1e-5),
)
