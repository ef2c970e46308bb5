# Fission as small as a study of five data sets and three seeds allows:
# 1 + 3 x 5 + 3 x 2 epochs, 3 groups of 3. A seed is chosen by
#     --work-dir work_dirs/SETTING/fgg_seed1 --cfg-options plan.seeds=[1]
_base_ = '../../../configs/_base_/schedules/fgg.py'

plan = dict(
    # Within a factor of four: what is far apart does not average.
    lrs=[2e-3, 1e-3, 5e-4],
    probe=dict(epochs=1),
    base=dict(epochs=5, patience=None),
    # A cycle an epoch, from minimum to minimum.
    fission=dict(epochs=2, cycle=1, phase=0.5, max_lr=5e-4, min_lr=1e-6),
)

# For speed on a CPU.
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
