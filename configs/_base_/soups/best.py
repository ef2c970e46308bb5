# The best single ingredient, to compare soups with.
runner_type = 'BestIngredientRunner'
soup = dict()
