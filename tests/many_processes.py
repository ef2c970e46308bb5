"""Work in several real processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import runpy
import socket
import sys
from contextlib import redirect_stdout
from itertools import count
from pathlib import Path

import torch
import torch.distributed as dist

from ff_mm.parallel.team import Team

ROOT = Path(__file__).parents[1]

#: Seconds for what takes a few, on cores on which other tests run at the same time.
PATIENCE = 300


def free_port():
    """A port for a process to open; below those that the system hands out by itself.

    Workers of pytest-xdist look for it in different places.
    """
    worker = os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')
    for port in count(20_000 + 100 * int(worker)):
        with socket.socket() as free:
            if free.connect_ex(('127.0.0.1', port)):
                return port


def make(size, work, *args):
    """Runs ``work(*args)`` in processes as torchrun starts them; what each returned."""
    return _run(size, _launched, work, args)


def tool_of_one(name, *arguments):
    """One of the processes of a command: a file of tools/; what it has printed.

    As torchrun would start it, but without importing anew what takes seconds.
    """
    sys.argv = [name, *map(str, arguments)]
    with redirect_stdout(io.StringIO()) as out:
        try:
            runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
        except SystemExit as stop:
            assert not stop.code, out.getvalue()
    return out.getvalue()


def in_team(size, work, *args):
    """Runs ``work(team, *args)`` in processes; what each returned."""
    return _run(size, _with_team, work, args)


def _run(size, member, work, args):
    # The store is open before anybody is told its port, so nobody else can take it.
    server = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    fork = multiprocessing.get_context('fork')
    with fork.Pool(size, maxtasksperchild=1) as pool:  # no process is two members
        jobs = [
            pool.apply_async(member, (server.port, rank, size, work, args))
            for rank in range(size)
        ]
        return [job.get(PATIENCE) for job in jobs]


def _with_team(port, rank, size, work, args):
    store = dist.TCPStore('127.0.0.1', port, is_master=False)
    return work(Team(store, rank, size), *args)


def _launched(port, rank, size, work, args):
    torch.set_num_threads(1)  # threads do not outlive a fork
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(size),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE='True',
        TORCHELASTIC_RESTART_COUNT='0',
    )
    result = work(*args)
    Team.of_launcher('pytorch').leave()
    if dist.is_initialized():
        dist.destroy_process_group()
    return result
