"""The cores that a process may use."""

from __future__ import annotations

import os

import pytest

from ff_mm import cores
from ff_mm.cores import allowed_cores, local_processes, own_cores, read_workers

V2 = 'sys/fs/cgroup'
V1 = 'sys/fs/cgroup/cpu,cpuacct'
# Files of a machine of 64 cores -> how many are allowed.
MACHINES = {
    'no groups': ({}, 64),
    'no quota': ({'proc/self/cgroup': '0::/\n', f'{V2}/cpu.max': 'max 100000\n'}, 64),
    'container': ({'proc/self/cgroup': '0::/\n', f'{V2}/cpu.max': '800000 100000'}, 8),
    'group above': (
        {
            'proc/self/cgroup': '0::/jobs/a\n',
            f'{V2}/jobs/a/cpu.max': 'max 100000',
            f'{V2}/jobs/cpu.max': '350000 100000',
        },
        3,
    ),
    'less than a core': (
        {'proc/self/cgroup': '0::/\n', f'{V2}/cpu.max': '50000 100000'},
        1,
    ),
    'version 1': (
        {
            'proc/self/cgroup': '7:memory:/x\n4:cpu,cpuacct:/docker/ab\n0::/\n',
            f'{V1}/docker/ab/cpu.cfs_quota_us': '600000\n',
            f'{V1}/docker/ab/cpu.cfs_period_us': '100000\n',
        },
        6,
    ),
    'version 1, seen from within': (
        {
            'proc/self/cgroup': '4:cpu,cpuacct:/docker/ab\n',
            'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
            'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        },
        2,
    ),
    'version 1, no quota': (
        {
            'proc/self/cgroup': '4:cpu,cpuacct:/\n',
            f'{V1}/cpu.cfs_quota_us': '-1\n',
            f'{V1}/cpu.cfs_period_us': '100000\n',
        },
        64,
    ),
    'damaged': ({'proc/self/cgroup': 'x\n0::/\n', f'{V2}/cpu.max': '1 0'}, 64),
}
# The environment of a process that may use 32 cores -> how many are its own, and how
# many processes there are on its machine.
LAUNCHED = {
    'alone': ({}, 32, 1),
    'torchrun': (dict(LOCAL_WORLD_SIZE='8', SLURM_CPUS_ON_NODE='32'), 4, 8),
    'mpirun': (dict(OMPI_COMM_WORLD_LOCAL_SIZE='40'), 1, 40),
    'srun, bound': (
        dict(
            SLURM_PROCID='1',
            SLURM_CPUS_ON_NODE='256',
            SLURM_STEP_TASKS_PER_NODE='8(x2)',
        ),
        32,
        8,
    ),
    'srun, not bound': (
        dict(
            SLURM_PROCID='1',
            SLURM_CPUS_ON_NODE='32',
            SLURM_STEP_TASKS_PER_NODE='4,2',
        ),
        8,
        4,
    ),
    'in a job, without srun': (dict(SLURM_CPUS_ON_NODE='32'), 32, 1),
}


@pytest.fixture
def bound(monkeypatch):
    """A function that binds this process to so many cores."""

    def bind(number):
        cores = set(range(number))
        monkeypatch.setattr(os, 'sched_getaffinity', lambda _: cores, raising=False)

    return bind


@pytest.mark.parametrize(('files', 'number'), MACHINES.values(), ids=MACHINES)
def test_quotas_of_containers_count(tmp_path, bound, files, number):
    bound(64)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert allowed_cores(tmp_path) == number


def test_cores_that_others_have_do_not_count(tmp_path, bound, monkeypatch):
    bound(3)
    assert allowed_cores(tmp_path) == 3
    monkeypatch.delattr(os, 'sched_getaffinity')
    monkeypatch.setattr(os, 'cpu_count', lambda: 5)
    assert allowed_cores(tmp_path) == 5


@pytest.mark.parametrize(
    ('said', 'number', 'processes'), LAUNCHED.values(), ids=LAUNCHED
)
def test_processes_of_one_machine_share_its_cores(monkeypatch, said, number, processes):
    for name in [n for n in os.environ if n.startswith(('SLURM', 'LOCAL_', 'OMPI'))]:
        monkeypatch.delenv(name)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cores, 'allowed_cores', lambda: 32)
    assert own_cores() == number
    assert local_processes() == processes
    assert read_workers('auto') == min(number, 24)
