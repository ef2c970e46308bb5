_base_ = [
    '../_base_/models/deit_base_multilabel.py',
    '../_base_/datasets/chexpert.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_chexpert_deit_base/ingredients.json'
