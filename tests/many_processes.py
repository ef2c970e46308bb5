"""Work in several real processes."""

from __future__ import annotations

import multiprocessing
import os

import torch
import torch.distributed as dist

from ff_mm.parallel.team import Team


def make(size, work, *args):
    """Runs ``work(*args)`` in processes as torchrun starts them; what each returned."""
    return _run(size, _launched, work, args)


def in_team(size, work, *args):
    """Runs ``work(team, *args)`` in processes; what each returned."""
    return _run(size, _with_team, work, args)


def _run(size, member, work, args):
    server = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    with multiprocessing.get_context('fork').Pool(size) as pool:
        jobs = [
            pool.apply_async(member, (server.port, rank, size, work, args))
            for rank in range(size)
        ]
        return [job.get(100) for job in jobs]


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
    return result
