# The mean of all ingredients.
runner_type = 'UniformSoupRunner'
soup = dict()
