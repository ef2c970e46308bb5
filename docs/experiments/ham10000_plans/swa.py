# SWA after a base, and beside it EMA, LAWA and SWAD of the base itself: 1 + 5 + 4
# epochs.
_base_ = [
    '../what_helps/ham10000/data.py',
    '../../../configs/_base_/schedules/swa.py',
]

plan = dict(
    lrs=[1e-3],
    probe=dict(epochs=1),
    base=dict(
        epochs=5,
        patience=None,
        averages=[
            # Half of the weight lies on the last 70 of 185 steps.
            dict(type='ema', decay=0.99),
            dict(type='lawa', last=3),
            dict(type='swad'),
        ],
    ),
    swa=dict(epochs=4, lr=2e-4),
)
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
