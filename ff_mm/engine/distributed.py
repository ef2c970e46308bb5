"""Starting torch.distributed before the first Runner exists."""

from __future__ import annotations

from datetime import timedelta
from inspect import signature
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size, is_distributed
from mmengine.model import is_model_wrapper
from torch.nn.parallel import DistributedDataParallel

from ff_mm.config import resolve
from ff_mm.parallel.team import Team


def init_distributed(cfg: Config) -> None:
    """Makes the process group that ``cfg.launcher`` asks for, once.

    A plan writes its ledger before it builds a Runner, and only one process may.
    MMEngine's own ``init_dist`` calls CUDA whatever the backend is; the Runners find
    the group that is made here.

    Args:
        cfg: A config with ``launcher`` and, for GPUs, ``env_cfg.dist_cfg``.

    Raises:
        ConfigError: The process was not started by that launcher.
        TeamError: The process that keeps the store cannot be reached.
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


def unwrapped_model(model: torch.nn.Module) -> Any:
    """Returns a network without the wrapper that distributed training needs."""
    return model.module if is_model_wrapper(model) else model


def model_wrapper(cfg: Config) -> dict[str, Any] | None:
    """Returns the config of the wrapper that distributed training needs, else None.

    It is the one that MMEngine takes by itself, but for the device. MMEngine gives the
    local rank, which CPU modules refuse, and which is no device where SLURM shows each
    process only its own GPU.

    Args:
        cfg: A config with ``launcher``, which may say ``find_unused_parameters``; the
            process has joined the others.
    """
    if cfg.get('launcher', 'none') == 'none':
        return None
    gpu = torch.cuda.is_available()
    return dict(
        type='MMDistributedDataParallel',
        device_ids=[torch.cuda.current_device()] if gpu else None,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
        **{_buffers_argument(): False},
    )


def _buffers_argument() -> str:
    """Name of the option to give all ranks the buffers of rank 0 at each iteration."""
    known = signature(DistributedDataParallel).parameters
    new = 'forward_sync_buffers'  # newer torch warns of the older name
    return new if new in known else 'broadcast_buffers'


def describe_data_parallel(cfg: Config, size: int) -> str:
    """Says in one line what data parallel training makes of a config.

    Args:
        cfg: The config, references resolved or not.
        size: How many processes there are.

    Returns:
        Such as ``data parallel: 4 processes x batch_size 32 = 128 images a step;
        learning rates are those of the config, not scaled``.
    """
    cfg = resolve(cfg)
    batch = cfg.train_dataloader.get('batch_size') or 1  # as the Runner has it
    factors = [f'{size} process{"es" * (size > 1)}', f'batch_size {batch}']
    images = size * batch
    steps = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    if steps > 1:
        factors.append(f'accumulative_counts {steps}')
    return (
        f'data parallel: {" x ".join(factors)} = {images * steps} images a step; '
        f'{_learning_rates(cfg, images)}'
    )


def _learning_rates(cfg: Config, images: int) -> str:
    scaling = cfg.get('auto_scale_lr') or {}
    if not scaling.get('enable'):
        return 'learning rates are those of the config, not scaled'
    base = scaling['base_batch_size']
    return f'learning rates are scaled by {images} / {base} = {images / base:g}'


def any_rank(flag: bool) -> bool:
    """Says whether a flag is set on any rank; free without a process group.

    A collective: all ranks must call it, in the same order among their collectives.

    Args:
        flag: What this rank says.
    """
    if get_world_size() == 1:
        return flag
    # all_reduce takes it to the backend's device and back.
    answer = torch.tensor([int(flag)])
    all_reduce(answer, 'max')
    return bool(answer.item())


def is_time_to_agree(batch_idx: int, interval: int) -> bool:
    """Says whether the ranks ask each other after this iteration.

    Args:
        batch_idx: The iteration within the epoch, from 0; the same on all ranks.
        interval: Iterations between two agreements. Without a process group there is
            nobody to wait for, and every iteration is one.
    """
    return get_world_size() == 1 or (batch_idx + 1) % interval == 0
