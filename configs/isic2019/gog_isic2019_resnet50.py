_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/isic2019.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_isic2019_resnet50/ingredients.json'
