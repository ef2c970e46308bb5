# All methods, over the grid search and two generations with different seeds.
_base_ = ['./data.py', '../../../configs/_base_/comparisons/paper.py']

pools = dict(
    gs='work_dirs/gs/ingredients.json',
    fgg=['work_dirs/fgg/ingredients.json', 'work_dirs/fgg_seed1/ingredients.json'],
)
