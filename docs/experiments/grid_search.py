# Grid search: 2 + 24 x 7 epochs, four times those of fission.py.
_base_ = '../../configs/_base_/schedules/gs.py'

plan = dict(
    # As in fission.py.
    lrs=[2e-3, 1e-3, 5e-4, 2e-4],
    probe=dict(epochs=2),
    base=dict(epochs=7, patience=None),
)

cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
