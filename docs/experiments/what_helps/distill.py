# A student of a pool, which starts from the best of its averaged runs: 5 epochs on two
# views of each image. The control, by labels alone: plan.share=0.
_base_ = '../../../configs/_base_/schedules/distill.py'

plan = dict(
    pool='work_dirs/fgg/ingredients.json',
    start='work_dirs/bou/soup.pth',
    views=2,
    lrs=[5e-4],
    student=dict(epochs=5),
)

# For speed on a CPU.
cache_images = True
channels_last = True
optim_wrapper = dict(optimizer=dict(fused=True))
