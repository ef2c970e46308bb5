# Fast geometric ensembling: 8 of 10 epochs ordinarily, then cycles of two: 1 + 8 + 6
# epochs.
_base_ = [
    '../what_helps/ham10000/data.py',
    '../../../configs/_base_/schedules/fge.py',
]

plan = dict(
    lrs=[1e-3],
    probe=dict(epochs=1),
    base=dict(
        epochs=8,
        overrides=dict(
            param_scheduler=[
                dict(type='CosineAnnealingLR', eta_min=0, T_max=10, by_epoch=True)
            ]
        ),
    ),
    # Minima at the ends of epochs 1, 3, 5.
    fission=dict(epochs=5, cycle=2, phase=0, max_lr=5e-4, min_lr=5e-6),
)
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
