# The greedy soup of all ingredients.
runner_type = 'GreedySoupRunner'
soup = dict()
