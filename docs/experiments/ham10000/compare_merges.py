# All soups and merges that need no plan of their own, of one generation.
_base_ = ['./data.py', '../../../configs/_base_/comparisons/merges.py']

pools = dict(fgg='work_dirs/fgg/ingredients.json')
