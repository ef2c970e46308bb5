_base_ = [
    '../_base_/models/deit_small.py',
    '../_base_/datasets/eyepacs.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_eyepacs_deit_small/ingredients.json'
