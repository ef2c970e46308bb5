# Hierarchical souping with any number of levels, from the bottom to the top. Keys to
# group by are the ingredients' hyper-parameters and stage, cycle, parent.
_base_ = '../evaluation.py'

runner_type = 'HierarchicalSoupRunner'
soup = dict(
    levels=[
        dict(soup='greedy', group_by='lr'),
        dict(soup='greedy'),
    ]
)
