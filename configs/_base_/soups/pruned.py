# The pruned soup: starts with all ingredients, and drops what hurts.
_base_ = '../evaluation.py'

runner_type = 'PrunedSoupRunner'
soup = dict()
