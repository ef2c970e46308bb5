# The soups of one pool of fission beside its best model: the paper's methods of a grid
# search are left out where pools has none. Without ensembles, so also for models that
# say more of a case than a probability of each class, as masks.
_base_ = './paper.py'

methods = dict(fgg_ensemble=None)
baseline = 'fgg_best'
