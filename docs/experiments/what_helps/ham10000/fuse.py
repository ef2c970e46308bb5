# The one model of a pool, by the default of tools/fuse.py; with --budget 5 a student of
# it, too, on two views of each image as in the study.
_base_ = ['./data.py', '../../../../configs/_base_/fuse.py']

pool = 'work_dirs/fgg/ingredients.json'
plan = dict(views=2)

# For speed on a CPU.
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
