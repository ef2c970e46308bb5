# Stochastic weight averaging (Izmailov et al. 2018): from each base one run at a
# constant learning rate, of which the mean of the epochs' ends, with batch norm
# re-estimated, is an ingredient beside the base.
_base_ = './fine_tuning.py'

plan = dict(
    type='SWAPlan',
    seeds=[0],
    # lr=None: that of the base. A sawtooth: lr=1e-4, min_lr=1e-6, cycle=2. SWAD, whose
    # window the validation loss chooses: averages=[dict(type='swad')].
    swa=dict(epochs=17, lr=None),
)
