_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/retinamnist.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_retinamnist_resnet50/ingredients.json'
