_base_ = [
    './ham10000.py',
    '../../../configs/_base_/models/resnet18.py',
    '../../../configs/_base_/soups/gou.py',
    '../../../configs/_base_/default_runtime.py',
]

ingredients = 'work_dirs/pool_resnet18/ingredients.json'
