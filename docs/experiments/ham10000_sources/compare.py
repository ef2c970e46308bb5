# All soups and merges that need no plan of their own, of a pool over four sources.
_base_ = ['./data.py', '../../../configs/_base_/comparisons/merges.py']

pools = dict(fgg='work_dirs/fgg/ingredients.json')
# All ingredients have one learning rate; what they have in common is their source.
methods = dict(
    gou=dict(soup=dict(group_by='domain')),
    gog=dict(soup=dict(group_by='domain')),
    gou_ties=dict(soup=dict(group_by='domain')),
)
