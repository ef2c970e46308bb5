# What keeps a GPU busy, for any generation:
#     tools/train.py configs/fgg_ham10000_resnet50.py --recipe configs/_base_/gpu.py
# Its values take the place of the config's, and --cfg-options that of its own. For GPUs
# since Ampere. A plan that was begun with it goes on with it.

# Images are decoded once for all trials and data workers.
cache_images = True
# Tensor cores want convolutions in this order, and bfloat16. Weights, gradients and
# validation stay float32.
channels_last = True
optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(fused=True))
