# The mean of all ingredients.
_base_ = '../evaluation.py'

runner_type = 'UniformSoupRunner'
soup = dict()
