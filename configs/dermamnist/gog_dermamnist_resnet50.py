_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/dermamnist.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_dermamnist_resnet50/ingredients.json'
