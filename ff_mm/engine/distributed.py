"""Starting torch.distributed before the first Runner exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed


def init_distributed(cfg: Config) -> None:
    """Initialises the process group that ``cfg.launcher`` asks for, once.

    A plan writes its ledger before it builds a Runner, and only one process may.
    MMEngine's own ``init_dist`` calls CUDA whatever the backend is, so that without a
    GPU the gloo group is made here; the Runners then find it.

    Args:
        cfg: A config with ``launcher`` and ``env_cfg.dist_cfg``.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or is_distributed():
        return
    if torch.cuda.is_available():
        dist_cfg: Mapping[str, Any] = cfg.get('env_cfg', {}).get('dist_cfg', {})
        init_dist(launcher, **dist_cfg)
    else:
        torch.distributed.init_process_group('gloo')


def model_wrapper(cfg: Config) -> dict[str, Any] | None:
    """Returns the wrapper that distributed training on CPUs needs, else None."""
    if cfg.get('launcher', 'none') == 'none' or torch.cuda.is_available():
        return None
    # MMEngine would give the local rank as device id, which CPU modules refuse.
    return dict(type='MMDistributedDataParallel', device_ids=None)
