_base_ = [
    '../_base_/models/resnet50_multilabel.py',
    '../_base_/datasets/chestmnist.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_chestmnist_resnet50/ingredients.json'
