# The config for fusion and for the analyses of tools/analysis_tools/.
_base_ = ['./data.py', '../../../configs/_base_/soups/gog.py']

ingredients = 'work_dirs/fgg/ingredients.json'
