# 2 + 12 x 7 epochs; 4 more bases for the second seed with
#     --work-dir work_dirs/gs_seed1
#     --cfg-options plan.seeds=[1] plan.augmentations=['heavy']
_base_ = ['./data.py', '../grid_search.py']

plan = dict(seeds=[0])
