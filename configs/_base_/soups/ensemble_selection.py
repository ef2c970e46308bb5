# Ensemble selection (Caruana et al. 2004): members of an ensemble are chosen by their
# predictions, greedily and with replacement; how often each is in it is its weight. Of
# the sorted_start best ones at most, as many are taken to begin with as are best
# together; rounds is how many are in it at most.
_base_ = '../evaluation.py'

runner_type = 'EnsembleSelectionRunner'
soup = dict(rounds=50, sorted_start=5)
