# Fission: fast geometric generation as published (FissionFusion, section 3.1), 8 groups
# of 6 ingredients.
_base_ = './fine_tuning.py'

plan = dict(
    type='FGGPlan',
    # One base per learning rate.
    seeds=[0],
    # Cyclical learning rate from each base: minima at the ends of epochs 1, 5, 9, 13
    # and 17. phase=0 is the schedule as printed in Garipov et al. 2018. Only those five
    # epochs are validated; validate='every_epoch' shows the others too.
    fission=dict(epochs=17, cycle=4, phase=0.25, max_lr=1e-5, min_lr=1e-8),
)
