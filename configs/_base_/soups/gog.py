# Greedy of greedy: a greedy soup in each group, a greedy soup of those.
runner_type = 'GoGSoupRunner'
soup = dict(group_by='lr')
