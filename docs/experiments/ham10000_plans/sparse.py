# Sparse soups, 90 % of the weights are 0 in the end: 1 + 5 + 3 phases x 2 copies x 2
# epochs.
_base_ = [
    '../what_helps/ham10000/data.py',
    '../../../configs/_base_/schedules/sparse.py',
]

plan = dict(
    lr=1e-3,
    sparsity=0.9,
    phases=3,
    seeds=[0, 1],
    probe=dict(epochs=1),
    base=dict(epochs=5, patience=None),
    retrain=dict(epochs=2),
)
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
