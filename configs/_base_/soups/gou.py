# Greedy of uniform: a uniform soup in each group, a greedy soup of those.
_base_ = '../evaluation.py'

runner_type = 'GoUSoupRunner'
soup = dict(group_by='lr')
