_base_ = [
    '../_base_/models/efficientnet_lite0.py',
    '../_base_/datasets/pneumoniamnist.py',
    '../_base_/soups/gog.py',
    '../_base_/default_runtime.py',
]

ingredients = 'work_dirs/fgg_pneumoniamnist_efficientnet_lite0/ingredients.json'
