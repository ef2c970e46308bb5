"""How many cores this process may use, and how many data workers that makes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ff_mm.errors import ConfigError

# What ``num_workers`` says where there may be as many as there are cores.
_AUTO = 'auto'
# Beyond this one GPU has as many images as it takes, and starting them takes longer.
_MOST_WORKERS = 24

# How many processes a launcher has started on this machine, as each calls it.
_LOCAL = ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE')


def allowed_cores(root: str | Path = '/') -> int:
    """Returns how many cores this process may use at the same time.

    Those of the machine, less those to which it is not bound (``taskset``, SLURM), and
    no more than the quota of its control groups (containers), of either version.

    Args:
        root: Where the files of the system are.
    """
    if hasattr(os, 'sched_getaffinity'):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, int(min([cores, *_quotas(Path(root))])))


def own_cores() -> int:
    """Returns this process's share of them, where a launcher has started several."""
    cores = allowed_cores()
    # SLURM binds each task to cores of its own, unless it is configured otherwise: then
    # each may use all that the job has on this machine.
    on_node = os.environ.get('SLURM_CPUS_ON_NODE', '')
    launched = any(name in os.environ for name in _LOCAL)
    if not launched and not (on_node.isdigit() and cores >= int(on_node)):
        return cores
    return max(1, cores // local_processes())


def local_processes() -> int:
    """Returns how many processes a launcher has started on this machine, as a rule."""
    tasks = ''
    if 'SLURM_PROCID' in os.environ:  # such as 8(x2),4
        tasks = re.split(r'[(,]', os.environ.get('SLURM_STEP_TASKS_PER_NODE', ''))[0]
    numbers = (*(os.environ.get(name, '') for name in _LOCAL), tasks)
    return next((max(1, int(n)) for n in numbers if n.isdigit()), 1)


def leaves_workers_open(loader: Mapping[str, Any] | None) -> bool:
    """Says whether there are as many data workers as cores.

    Nothing may depend on their number then, see
    :class:`ff_mm.engine.hooks.epoch_seed_hook.SeededLoading`.

    Args:
        loader: A data loader's config, with nothing filled in yet.
    """
    return loader is not None and loader.get('num_workers') == _AUTO


def read_workers(number: Any) -> int:
    """Returns how many data workers a ``num_workers`` stands for.

    Raises:
        ConfigError: It is a word other than ``'auto'``.
    """
    if number == _AUTO:
        return min(own_cores(), _MOST_WORKERS)
    if isinstance(number, str):
        raise ConfigError(
            f'num_workers={number!r}: expected a number of data workers, or {_AUTO!r}: '
            'as many as there are cores'
        )
    return number or 0


def _quotas(root: Path) -> Iterator[float]:
    """Yields the quotas of all control groups that this process is in, in cores."""
    lines: list[str] = []
    with suppress(OSError):
        lines = (root / 'proc/self/cgroup').read_text().splitlines()
    for line in lines:
        _, controllers, path = [*line.split(':', 2), '', ''][:3]
        if controllers and 'cpu' not in controllers.split(','):
            continue
        # A container may see its own group as the root, under the name outside.
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            for folder in _folders(root, controllers):
                yield from _quota(folder / str(group).lstrip('/'))


def _folders(root: Path, controllers: str) -> list[Path]:
    mounted = root / 'sys/fs/cgroup'
    return [mounted / controllers, mounted / 'cpu'] if controllers else [mounted]


def _quota(group: Path) -> Iterator[float]:
    with suppress(OSError, ValueError, ZeroDivisionError):  # no quota, no such file
        quota, period = (group / 'cpu.max').read_text().split()
        yield int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota = (group / 'cpu.cfs_quota_us').read_text()
        period = (group / 'cpu.cfs_period_us').read_text()
        if int(quota) > 0:
            yield int(quota) / int(period)
