_base_ = [
    './ham10000.py',
    '../../../configs/_base_/models/efficientnet_lite0.py',
    '../../../configs/_base_/soups/gog.py',
    '../../../configs/_base_/default_runtime.py',
]

ingredients = 'work_dirs/pool_efficientnet_lite0/ingredients.json'
