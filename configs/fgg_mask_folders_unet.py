_base_ = [
    './_base_/models/unet_small.py',
    './_base_/datasets/mask_folders.py',
    './_base_/schedules/fgg.py',
    './_base_/segmentation_runtime.py',
]

# From random weights there is nothing to probe: the whole network trains.
plan = dict(
    lrs=[5e-3, 2e-3, 1e-3, 5e-4],
    probe=dict(epochs=20, lr=5e-3, freeze=False),
    base=dict(epochs=20),
    fission=dict(max_lr=2e-3, min_lr=2e-5),
)
