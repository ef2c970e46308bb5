"""How many cores this process may use, and how many data workers that makes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

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
    for name in _LOCAL:
        if (number := os.environ.get(name, '')).isdigit():
            return max(1, cores // max(1, int(number)))
    return max(1, cores // _tasks_of_slurm(cores, os.environ))


def data_workers() -> int:
    """Returns how many data workers ``num_workers='auto'`` stands for."""
    return min(own_cores(), _MOST_WORKERS)


def _tasks_of_slurm(cores: int, environment: Mapping[str, str]) -> int:
    """Among how many tasks of a job step these cores are shared out.

    SLURM binds each task to cores of its own, unless it is configured otherwise: then
    each may use all that the job has on this machine.
    """
    on_node = environment.get('SLURM_CPUS_ON_NODE', '')
    tasks = environment.get('SLURM_STEP_TASKS_PER_NODE', '').split('(')[0].split(',')[0]
    if 'SLURM_PROCID' not in environment or not (on_node + tasks).isdigit():
        return 1
    return max(1, int(tasks or 1)) if on_node and cores >= int(on_node) else 1


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
