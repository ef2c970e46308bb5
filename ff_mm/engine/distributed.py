"""Starting torch.distributed before the first Runner exists."""

from __future__ import annotations

import os
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size, is_distributed
from mmengine.model import is_model_wrapper
from torch.nn.parallel import DistributedDataParallel

from ff_mm.config import resolve
from ff_mm.errors import ConfigError
from ff_mm.parallel.stuck import stop_watching, watch
from ff_mm.parallel.team import Team
from ff_mm.parallel.termination import GRACE_PERIOD, TERMINATED

# Seconds for a step, which a process with no grace may still be in.
_LEAST_PATIENCE = 5.0


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
    options = _group_options(cfg)
    use_port(cfg)
    Team.of_launcher(launcher).join(**options)
    goes_on = 'plan' in cfg
    watch(
        max(float(cfg.get('grace_period', GRACE_PERIOD)), _LEAST_PATIENCE),
        0 if goes_on else TERMINATED,
        f'everything finished is kept, {"the same command" if goes_on else "--resume"} '
        'goes on from here',
    )


def leave_distributed() -> None:
    """Ends the process group, if there is one; all ranks have come to their end."""
    stop_watching()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def use_port(cfg: Config) -> None:
    """Takes the port of ``env_cfg.dist_cfg.port`` for what processes meet at.

    As in MMEngine. torchrun has opened a port of its own when it starts them.

    Args:
        cfg: A config with ``launcher``.

    Raises:
        ConfigError: It is no port.
    """
    port = _dist_cfg(cfg).get('port')
    if port is None or cfg.get('launcher', 'none') not in ('slurm', 'mpi'):
        return
    if not str(port).isdigit() or not 0 < int(port) < 1 << 16:
        raise ConfigError(
            f'env_cfg.dist_cfg.port={port!r}: expected the number of a port, such as '
            '29500'
        )
    os.environ['MASTER_PORT'] = str(port)


def _dist_cfg(cfg: Config) -> dict[str, Any]:
    return dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})


def _group_options(cfg: Config) -> dict[str, Any]:
    """What ``env_cfg.dist_cfg`` says of the group, as torch.distributed takes it."""
    options = _dist_cfg(cfg)
    options.pop('port', None)  # see use_port
    if (kind := options.pop('init_backend', 'torch')) != 'torch':
        raise ConfigError(
            f"env_cfg.dist_cfg.init_backend={kind!r}: ff_mm knows 'torch' alone"
        )
    if not torch.cuda.is_available():
        options.pop('backend', None)  # of GPUs, in nearly every config
    known = set(signature(torch.distributed.init_process_group).parameters)
    known -= {'store', 'rank', 'world_size', 'init_method'}  # the launcher's to say
    if unknown := sorted(set(options) - known):
        raise ConfigError(
            f'env_cfg.dist_cfg.{unknown[0]}: no option of a process group; there are '
            f'port, {", ".join(sorted(k for k in known if k[0] != "_"))}'
        )
    if 'timeout' in options:  # seconds, as MMEngine has it
        options['timeout'] = _seconds(options['timeout'])
    return options


def _seconds(value: Any) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f'env_cfg.dist_cfg.timeout={value!r}: expected seconds')
    return timedelta(seconds=value)


def unwrapped_model(model: torch.nn.Module) -> Any:
    """Returns a network without the wrapper that distributed training needs."""
    return model.module if is_model_wrapper(model) else model


def model_wrapper(cfg: Config) -> dict[str, Any] | None:
    """Returns the config of the wrapper that distributed training needs, else None.

    It is the one that MMEngine takes by itself, but for the device and channels_last.
    MMEngine gives the local rank, which CPU modules refuse, and which is no device
    where SLURM shows each process only its own GPU.

    Args:
        cfg: A config with ``launcher``, which may say ``find_unused_parameters``; the
            process has joined the others.
    """
    if cfg.get('launcher', 'none') == 'none':
        return None
    gpu = torch.cuda.is_available()
    hooks = [hook.get('type') for hook in cfg.get('custom_hooks') or []]
    last = 'ChannelsLastHook' in hooks
    return dict(
        type='ChannelsLastDataParallel' if last else 'MMDistributedDataParallel',
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
