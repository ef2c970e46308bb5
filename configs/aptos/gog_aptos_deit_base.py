_base_ = [
    '../_base_/models/deit_base.py',
    '../_base_/datasets/aptos.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_aptos_deit_base/ingredients.json'
