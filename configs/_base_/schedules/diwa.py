# The mild plan of DiWA (Rame et al. 2022): learning rates within a factor of 5, linear
# probing first, batch norm's statistics frozen, and no selection: its soup is the
# uniform one (tools/soup.py CONFIG --soup uniform). 20 models, which differ in rate,
# seed and augmentation.
_base_ = './fine_tuning.py'

plan = dict(
    type='GridSearchPlan',
    lrs=[1e-5, 2e-5, 3e-5, 4e-5, 5e-5],
    seeds=[0, 1],
    augmentations=['medium', 'minimal'],
    # The statistics of the pretrained network stay, in the probe and after it.
    probe=dict(epochs=10, lr=1e-3, norm_eval=True),
    base=dict(epochs=20, patience=None, freeze_batch_norm=True),
)
