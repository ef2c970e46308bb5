# The start of the student: runs averaged, the best by the soft score.
_base_ = ['./data.py', '../../../../configs/_base_/soups/bou.py']

ingredients = 'work_dirs/fgg/ingredients.json'
soup = dict(bn_reestimation=dict(candidates=True))
selection = dict(metric='soft_macro_recall')
