"""What a launcher tells a process about itself and its like."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from ff_mm.errors import ConfigError

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
