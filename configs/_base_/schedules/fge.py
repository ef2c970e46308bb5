# Fast geometric ensembling (Garipov et al. 2018): one run, trained ordinarily for 80 %
# of its epochs, then with a cyclical learning rate; a snapshot at each minimum. Their
# logit ensemble is a method of tools/compare.py: dict(pool=..., ensemble=True).
#
# The published values are for SGD from random weights (0.05 and 0.0005); these are a
# hundredth of that, for AdamW from pretrained ones.
_base_ = './fine_tuning.py'

plan = dict(
    type='FGGPlan',
    lrs=[5e-4],
    seeds=[0],
    # 40 epochs of a schedule of 50, and the last of them, whichever was the best.
    base=dict(
        epochs=40,
        patience=None,
        keep='last',
        overrides=dict(
            param_scheduler=[
                dict(type='CosineAnnealingLR', eta_min=0, T_max=50, by_epoch=True)
            ]
        ),
    ),
    # The triangle as printed: minima at the ends of epochs 2, 6, 10.
    fission=dict(epochs=10, cycle=4, phase=0, max_lr=5e-4, min_lr=5e-6),
)
