# mmpretrain's runtime, with ff_mm's components registered.
_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(imports=['ff_mm'], allow_failed_imports=False)

val_cfg = dict()
test_cfg = dict()

# MMEngine's default smooths everything with 'loss' in its name over the last 10 values,
# which would also blur the validation loss in the log.
log_processor = dict(
    log_with_hierarchy=True, mean_pattern=r'train/.*(loss|grad_norm)|.*time'
)
