"""What of a config the network needs, and each set that it is evaluated on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ff_mm.config_loaders import ood_dataloaders
from ff_mm.engine.distributed import model_wrapper
from ff_mm.tasks import scope_of

# An evaluation neither logs nor saves; all of MMEngine's default hooks are off.
_NO_HOOKS = dict.fromkeys(
    ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
)


def sets_of(cfg: Config) -> dict[str, tuple[Mapping[str, Any], Any]]:
    """Returns data loader and metrics of each set.

    Args:
        cfg: A resolved config.
    """
    sets = {'val': (cfg.val_dataloader, cfg.val_evaluator)}
    for name, loader in (cfg.get('fold_dataloaders') or {}).items():
        sets[name] = (loader, cfg.val_evaluator)
    if cfg.get('test_dataloader'):
        sets['test'] = (cfg.test_dataloader, cfg.test_evaluator)
    for name, loader in ood_dataloaders(cfg).items():
        own = cfg.ood_dataloaders[name].get('evaluator')
        sets[f'ood/{name}'] = (loader, own or cfg.test_evaluator)
    return sets


def network_config(cfg: Config) -> Config:
    """Returns the part of a config that building the network needs.

    Args:
        cfg: A resolved config.
    """
    folder = hashlib.sha1(str(Path(cfg.work_dir).resolve()).encode()).hexdigest()
    kept = dict(
        model=cfg.model,
        work_dir=str(Path(cfg.work_dir) / 'log'),
        experiment_name=f'evaluation_{folder[:8]}',
        default_hooks=dict(_NO_HOOKS),
        default_scope=scope_of(cfg),
        launcher=cfg.get('launcher', 'none'),
        env_cfg=cfg.get('env_cfg', dict(dist_cfg=dict(backend='nccl'))),
        randomness=dict(seed=0),
    )
    if wrapper := model_wrapper(cfg):
        kept['model_wrapper_cfg'] = wrapper
    if cfg.get('data_preprocessor'):
        kept['data_preprocessor'] = cfg.data_preprocessor
    return Config(kept)
