# The greedy soup of all ingredients.
_base_ = '../evaluation.py'

runner_type = 'GreedySoupRunner'
soup = dict()
