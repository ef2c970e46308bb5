# A pool of the published form, 8 groups of 6, in as few epochs as that takes.
_base_ = [
    './ham10000.py',
    '../../../configs/_base_/schedules/fgg.py',
    '../../../configs/_base_/default_runtime.py',
]

augmentation = 'minimal'
plan = dict(
    lrs=[2e-3, 1e-3, 7e-4, 5e-4, 3e-4, 2e-4, 1e-4, 5e-5],
    probe=dict(epochs=1),
    base=dict(epochs=1, patience=None),
    fission=dict(epochs=5, cycle=1, phase=0, max_lr=5e-4, min_lr=1e-6),
)
