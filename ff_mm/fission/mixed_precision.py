"""In which precision ``--amp`` trains."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.device import get_device

from ff_mm.engine.bfloat16_optim_wrapper import Bfloat16OptimWrapper
from ff_mm.engine.device import computes_bfloat16
from ff_mm.fission.begun import begun_with


def use_mixed_precision(cfg: Config) -> None:
    """Changes the optimizer's wrapper to the one for the device that there is.

    Args:
        cfg: A training config with its work directory, changed in place.
    """
    if get_device() != 'cpu' and not _takes_bfloat16(cfg):
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        return
    cfg.optim_wrapper.type = Bfloat16OptimWrapper.__name__
    for key in ('loss_scale', 'dtype'):  # AmpOptimWrapper's
        cfg.optim_wrapper.pop(key, None)


def _takes_bfloat16(cfg: Config) -> bool:
    """Says whether a GPU trains in bfloat16, which needs no scaling of the loss.

    Not if the config speaks of float16 or of its scaling, nor if the plan was begun so.
    """
    wrapper = cfg.optim_wrapper
    if any(wrapper.get(key) for key in ('loss_scale', 'dtype')):
        return str(wrapper.get('dtype')) in ('bfloat16', 'torch.bfloat16')
    begun = begun_with(cfg.work_dir).get('optim_wrapper') or {}
    if 'plan' in cfg and str(begun.get('type')) in (
        'AmpOptimWrapper',
        Bfloat16OptimWrapper.__name__,
    ):
        return begun['type'] != 'AmpOptimWrapper'
    return wrapper.get('type') != 'AmpOptimWrapper' and computes_bfloat16()
