# The runtime for models of mmsegmentation: pip install -e '.[segmentation]'.
_base_ = './default_runtime.py'

default_scope = 'mmseg'

# Without those of mmpretrain, which draw predicted classes.
default_hooks = dict(
    _delete_=True,
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
visualizer = dict(_delete_=True, type='Visualizer')
