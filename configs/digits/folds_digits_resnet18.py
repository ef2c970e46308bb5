_base_ = [
    '../_base_/models/resnet18.py',
    '../_base_/datasets/digits.py',
    '../_base_/soups/folds.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/kfold_digits_resnet18/ingredients.json'
