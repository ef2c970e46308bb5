_base_ = ['./data.py', '../plan.py']

plan = dict(
    # Nothing to probe: the whole network trains on the common stretch.
    probe=dict(epochs=15, freeze=False),
    lrs=[1e-3, 5e-4, 2e-4],
    # An epoch has 12 steps: too few for a cycle.
    fission=dict(epochs=4, cycle=2, phase=0.5, max_lr=5e-4, min_lr=1e-6),
)
