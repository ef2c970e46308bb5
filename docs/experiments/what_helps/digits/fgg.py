_base_ = ['./data.py', '../plan.py']

plan = dict(
    # Nothing to probe: the whole network trains on the common stretch.
    probe=dict(epochs=15, freeze=False),
    lrs=[1e-3, 5e-4, 2e-4],
    fission=dict(max_lr=1e-3, min_lr=1e-5),
)
