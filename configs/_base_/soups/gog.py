# Greedy of greedy: a greedy soup in each group, a greedy soup of those.
_base_ = '../evaluation.py'

runner_type = 'GoGSoupRunner'
soup = dict(group_by='lr')
