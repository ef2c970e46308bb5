# The soup of a plan with folds (plan.folds=5): recipes are chosen by out-of-fold
# predictions, and the models of all folds of those that were chosen are averaged. type
# is how recipes are chosen: greedy, best, uniform or pruned.
_base_ = '../evaluation.py'

runner_type = 'FoldSoupRunner'
# Models of several folds differ more than those of one run: their averaged statistics
# of batch norm are those of none. Networks without batch norm are left as they are.
soup = dict(type='greedy', bn_reestimation=dict(num_samples=2000))
