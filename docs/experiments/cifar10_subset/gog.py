# The config for fusion and for the analyses of tools/analysis_tools/.
_base_ = ['./data.py', '../../../configs/_base_/soups/gog.py']

ingredients = 'work_dirs/fgg/ingredients.json'
# Every third image: as many as ../ham10000 has for validation, since with more cases
# the surface of a metric is smoother.
val_dataloader = dict(dataset=dict(indices=list(range(0, 1000, 3))))
