# Fission as two cores allow: 2 + 4 x 7 + 4 x 3 epochs, 4 groups of 4. A repetition with
# another seed:
#     --work-dir work_dirs/fgg_seed1 --cfg-options plan.seeds=[1]
_base_ = '../../configs/_base_/schedules/fgg.py'

plan = dict(
    # Higher than the published ones, which get nowhere in so few epochs.
    lrs=[2e-3, 1e-3, 5e-4, 2e-4],
    probe=dict(epochs=2),
    base=dict(epochs=7, patience=None),
    # A cycle an epoch, from minimum to minimum.
    fission=dict(epochs=3, cycle=1, phase=0.5, max_lr=5e-4, min_lr=1e-6),
)

# For speed on a CPU.
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
