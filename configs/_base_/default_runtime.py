# mmpretrain's runtime, with ff_mm's components registered.
_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(imports=['ff_mm'], allow_failed_imports=False)

val_cfg = dict()
test_cfg = dict()
