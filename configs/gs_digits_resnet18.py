# Grid search on scikit-learn's digits, to compare the quickstart with.
_base_ = [
    './_base_/models/resnet18.py',
    './_base_/datasets/digits.py',
    './_base_/schedules/gs.py',
    './_base_/default_runtime.py',
]

# As in fgg_digits_resnet18.py, where these values are explained.
plan = dict(
    lrs=[1e-3, 5e-4, 2e-4, 1e-4],
    seeds=[0],
    augmentations=['medium', 'heavy', 'minimal'],
    probe=dict(epochs=15, freeze=False),
    base=dict(epochs=6),
)
