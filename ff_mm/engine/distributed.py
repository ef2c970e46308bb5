"""Starting torch.distributed before the first Runner exists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed

from ff_mm.parallel.team import Team


def init_distributed(cfg: Config) -> None:
    """Makes the process group that ``cfg.launcher`` asks for, once.

    A plan writes its ledger before it builds a Runner, and only one process may.
    MMEngine's own ``init_dist`` calls CUDA whatever the backend is; the Runners find
    the group that is made here.

    Args:
        cfg: A config with ``launcher`` and, for GPUs, ``env_cfg.dist_cfg``.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or is_distributed():
        return
    options: dict[str, Any] = {}
    if torch.cuda.is_available():
        options.update(cfg.get('env_cfg', {}).get('dist_cfg') or {})
    if 'timeout' in options:  # seconds, as MMEngine has it
        options['timeout'] = timedelta(seconds=options['timeout'])
    Team.of_launcher(launcher).join(**options)


def model_wrapper(cfg: Config) -> dict[str, Any] | None:
    """Returns the wrapper that distributed training on CPUs needs, else None."""
    if cfg.get('launcher', 'none') == 'none' or torch.cuda.is_available():
        return None
    # MMEngine would give the local rank as device id, which CPU modules refuse.
    return dict(type='MMDistributedDataParallel', device_ids=None)
