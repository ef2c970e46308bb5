# The best single ingredient, to compare soups with.
_base_ = '../evaluation.py'

runner_type = 'BestIngredientRunner'
soup = dict()
