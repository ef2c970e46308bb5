# Fission of a small UNet on cell nuclei: segmentation in minutes on a CPU.
_base_ = [
    './_base_/models/unet_small.py',
    './_base_/datasets/nuclei_masks.py',
    './_base_/schedules/fgg.py',
    './_base_/segmentation_runtime.py',
]

# Faster for convolutions on CPUs; the same to rounding.
channels_last = True

plan = dict(
    lrs=[5e-3, 2e-3, 1e-3, 5e-4],
    # From random weights there is nothing to probe: the whole network trains, and this
    # common stretch keeps the bases in one basin.
    probe=dict(epochs=8, lr=5e-3, freeze=False),
    base=dict(epochs=6),
    # Minima at the ends of epochs 1, 3 and 5.
    fission=dict(epochs=5, cycle=2, phase=0, max_lr=2e-3, min_lr=2e-5),
)
