# The quickstart: fission on scikit-learn's digits, in minutes on a CPU. The stages and
# the code are those of every other fgg config, the plan is shorter.
_base_ = [
    './_base_/models/resnet18.py',
    './_base_/datasets/digits.py',
    './_base_/schedules/fgg.py',
    './_base_/default_runtime.py',
]

plan = dict(
    lrs=[1e-3, 5e-4, 2e-4, 1e-4],
    # ResNet-18 starts from random weights here, so there is nothing to probe: the
    # whole network trains, and this common stretch keeps the bases in one basin.
    probe=dict(epochs=15, freeze=False),
    base=dict(epochs=6),
    # Minima at the ends of epochs 1, 3 and 5.
    fission=dict(epochs=5, cycle=2, phase=0, max_lr=1e-3, min_lr=1e-5),
)
