"""Processes that share out work among themselves."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import rendezvous

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.parallel.waiting import Waiting

_PORT = '29500'  # torch.distributed's

# Rank, number of processes, rank on this machine: what each launcher calls them.
_NAMES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}

_STARTED_BY = {
    'pytorch': 'tools/dist_train.sh or torchrun',
    'slurm': 'tools/slurm_train.sh or srun',
    'mpi': 'mpirun',
}


def set_environment(launcher: str) -> None:
    """Gives torch.distributed the environment variables that torchrun gives it.

    MMEngine's ``init_dist`` does so only together with making a process group, and
    needs a GPU for it.

    Args:
        launcher: ``'pytorch'`` (torchrun), ``'slurm'`` (srun) or ``'mpi'`` (OpenMPI's
            mpirun).

    Raises:
        ConfigError: The process was not started by that launcher.
    """
    for name, source in zip(
        ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), _NAMES[launcher], strict=True
    ):
        if source not in os.environ:
            raise ConfigError(
                f'--launcher {launcher}: the environment variable {source} is not set; '
                f'start with {_STARTED_BY[launcher]}'
            )
        os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', _port(launcher))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host(launcher)


def _port(launcher: str) -> str:
    """The usual port; under SLURM one of the job step's own.

    Two jobs on one machine must not meet at a port.
    """
    if launcher != 'slurm' or not os.environ.get('SLURM_JOB_ID', '').isdigit():
        return _PORT
    step = os.environ.get('SLURM_STEP_ID', '0')
    number = int(os.environ['SLURM_JOB_ID']) * 7 + (int(step) if step.isdigit() else 0)
    return str(15000 + number % 15000)


def _first_host(launcher: str) -> str:
    # Of the step, where it has not all machines of the job.
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get('SLURM_NODELIST')
    if launcher == 'slurm' and nodes:
        command = ['scontrol', 'show', 'hostnames', nodes]
        with suppress(OSError, subprocess.CalledProcessError, IndexError):
            hosts = subprocess.run(command, capture_output=True, text=True, check=True)
            return hosts.stdout.split()[0]
    raise ConfigError(
        f'--launcher {launcher}: set MASTER_ADDR to the host of the first process'
    )


# Seconds between two questions to the store. Its own wait would keep Python from its
# signals, and torch prints warnings whenever a time limit of it passes.
_PAUSE = 0.02
_PAUSE_AT_MOST = 0.2
# Seconds. By then all work is done; whoever has not left is gone.
_FAREWELL = 60.0


class TeamError(FFMMError):
    """Processes that can no longer work together."""


class Team:
    """The processes of one command, which talk through torch.distributed's store.

    They form no process group unless they :meth:`join` one, so that to MMEngine each is
    alone: it trains whole models with all of its data. What they tell each other is
    JSON. A process without others is a team, too.

    Args:
        store: That all processes have in common.
        rank: Number of this process, from 0.
        size: How many processes there are.

    Raises:
        TeamError: By all methods, if the process is gone that keeps the store.
    """

    def __init__(self, store: dist.Store, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size
        self._store = store

    @classmethod
    def alone(cls) -> Team:
        """A team of one."""
        return cls(dist.HashStore())

    @staticmethod
    def of_launcher(launcher: str) -> Team:
        """The team that a launcher has started; the same at each call.

        Without a launcher it is a new team of one.

        Each process takes a GPU, where there are any.

        Args:
            launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

        Raises:
            ConfigError: The process was not started by that launcher.
            TeamError: The process that keeps the store cannot be reached.
        """
        return Team.alone() if launcher == 'none' else _meet(launcher)

    def anew(self) -> Team:
        """The same processes for another run, in which nothing has been said yet.

        All must call it, and in the same order.
        """
        run = self.next_number(f'runs of {self.rank}')
        return Team(dist.PrefixStore(f'run {run}', self._store), self.rank, self.size)

    @property
    def is_first(self) -> bool:
        """Whether this process does what is done but once."""
        return self.rank == 0

    def add(self, what: str, amount: int) -> int:
        """Adds to a number that all have in common, atomically; returns the sum."""
        with self._in_touch():
            return self._store.add(f'sum/{what}', amount)

    def next_number(self, what: str) -> int:
        """Returns 0, 1, 2, ...: each to one process only."""
        return self.add(what, 1) - 1

    def tell(self, key: str, value: Any = None) -> None:
        """Lets all know a value."""
        with self._in_touch():
            self._store.set(f'said/{key}', json.dumps(value))

    def is_told(self, key: str, wait: float = 0.0) -> bool:
        """Whether somebody has told a value, at once or within some seconds."""
        deadline = time.monotonic() + wait
        waiting = Waiting(_PAUSE, _PAUSE_AT_MOST)
        while True:
            with self._in_touch():
                if self._store.check([f'said/{key}']):
                    return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(waiting.pause())

    def listen(self, key: str) -> Any:
        """Waits for a value, for as long as it takes."""
        self.is_told(key, math.inf)
        with self._in_touch():
            return json.loads(self._store.get(f'said/{key}'))

    def join(self, backend: str | None = None, **options: Any) -> None:
        """Makes the process group of all, once: to MMEngine they are then one run.

        Args:
            backend: Of torch.distributed; None: nccl with GPUs, else gloo.
            **options: Those of :func:`torch.distributed.init_process_group`.
        """
        if dist.is_initialized():
            return
        backend = backend or ('nccl' if torch.cuda.is_available() else 'gloo')
        if backend == 'nccl':  # which would else guess it from the rank
            device = torch.device('cuda', torch.cuda.current_device())
            options.setdefault('device_id', device)
        dist.init_process_group(
            backend,
            store=dist.PrefixStore('group', self._store),
            rank=self.rank,
            world_size=self.size,
            **options,
        )

    def leave(self) -> None:
        """Says that this process is done; the first, which may keep the store, waits.

        It does not wait for long: who has not left by then has died.
        """
        self.tell(f'left/{self.rank}')
        if not self.is_first:
            return
        deadline = time.monotonic() + _FAREWELL
        for rank in range(1, self.size):
            self.is_told(f'left/{rank}', deadline - time.monotonic())

    @contextmanager
    def _in_touch(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise TeamError(
                'the process that keeps what all have in common is gone (torchrun, or '
                'the first one); what is finished is kept, give the same command again'
            ) from error


@cache
def _meet(launcher: str) -> Team:
    set_environment(launcher)
    if torch.cuda.is_available():
        device = int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()
        torch.cuda.set_device(device)
    try:
        store, rank, size = next(rendezvous('env://'))
    except RuntimeError as error:
        where = f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'
        raise TeamError(
            f'{where} (MASTER_ADDR, MASTER_PORT): no connection: {error}'
        ) from error
    # A team that torchrun restarts must not find what its forerunner has said.
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    return Team(dist.PrefixStore(f'ff_mm/{attempt}', store), rank, size)
