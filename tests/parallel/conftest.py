"""Teams of real processes."""

import multiprocessing

import pytest
import torch.distributed as dist

from ff_mm.parallel.team import Team


@pytest.fixture
def in_team():
    """``in_team(size, work, *args)`` runs ``work(team, *args)`` in processes."""
    return _in_team


def _in_team(size, work, *args):
    server = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    with multiprocessing.get_context('fork').Pool(size) as pool:
        jobs = [
            pool.apply_async(_member, (server.port, rank, size, work, args))
            for rank in range(size)
        ]
        return [job.get(100) for job in jobs]


def _member(port, rank, size, work, args):
    store = dist.TCPStore('127.0.0.1', port, is_master=False)
    return work(Team(store, rank, size), *args)
