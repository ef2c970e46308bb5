# Best of uniform: a uniform soup of each run (a base and its snapshots), and
# the best of those. What is alike is averaged without choosing, so that validation has
# few candidates to choose from. It goes beyond the paper.
_base_ = '../evaluation.py'

runner_type = 'BoUSoupRunner'
soup = dict(group_by='run')
