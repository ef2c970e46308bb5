"""Several trials on one device, each in a process of its own."""

from __future__ import annotations

import os
from typing import Any

import torch
from mmengine.config import Config

from ff_mm.errors import ConfigError
from ff_mm_commands.table import typed

KEY = 'trials_per_device'


def trials_per_device(cfg: Config) -> int:
    """Reads how many trials share a device.

    Args:
        cfg: A generation config.

    Raises:
        ConfigError: It is no number of trials; or each trial is trained by all
            processes (``parallel='data'``), which do not share a device.
    """
    number = cfg.get(KEY, 1)
    if type(number) is not int or number < 1:
        raise ConfigError(
            f'{KEY}={number!r}: expected how many trials are trained on one device at '
            'the same time, 1 or more'
        )
    if number > 1 and cfg.get('parallel', 'trial') == 'data':
        raise ConfigError(
            f"{KEY}={number}: with parallel='data' all processes train one trial, each "
            "on a device of its own; take parallel='trial'"
        )
    return number


def check_processes(number: int) -> None:
    """Refuses another number of processes than that of the trials on all devices.

    Only torchrun says how many processes it has started on a machine; under SLURM each
    task may see another device.

    Args:
        number: How many trials share a device.

    Raises:
        ConfigError: With the command that starts as many.
    """
    started = os.environ.get('LOCAL_WORLD_SIZE', '')
    devices = max(1, torch.cuda.device_count())
    if number > 1 and started.isdigit() and int(started) != number * devices:
        raise ConfigError(
            f'{KEY}={number}: on the {_count(devices, "device")} of this machine that '
            f'is {_count(number * devices, "process")}, and {started} were started: '
            f'tools/dist_train.sh CONFIG {number * devices}, or for one device '
            f'{typed("train")} CONFIG, which starts its processes itself'
        )


def describe_processes(size: int, number: int) -> str:
    """Says in a line how several processes carry out a plan.

    Args:
        size: How many processes there are.
        number: How many of them share a device.
    """
    each = f', {number} on each device' if number > 1 else ''
    return f'trial parallel: {size} processes take whole trials{each}'


def shared_cache(cfg: Config, number: int) -> Any:
    """Returns how images are cached, as the runner of plans takes it.

    Processes that share a device share the images, too, unless that is switched off by
    ``cache_images=False``: else each would decode and hold all of them.

    Args:
        cfg: The generation config, resolved.
        number: How many trials share a device.
    """
    option = cfg.get('cache_images')
    return True if number > 1 and not option and option is not False else option


def memory_remedy(number: int) -> str:
    """Says what helps a trial for which memory did not suffice.

    Args:
        number: How many trials share a device.
    """
    if number == 1:
        return 'it needs a device with more memory, or to itself'
    return f'{number} trials share the device and its memory: lower {KEY}={number}'


def first_device_alone() -> dict[str, str]:
    """The environment in which processes see the first of this one's devices alone."""
    if torch.cuda.device_count() <= 1:
        return {}
    visible = os.environ.get('CUDA_VISIBLE_DEVICES') or '0'
    return dict(CUDA_VISIBLE_DEVICES=visible.split(',')[0])


def _count(number: int, noun: str) -> str:
    plural = 'es' if noun.endswith('s') else 's'
    return f'{number} {noun}{plural if number > 1 else ""}'
