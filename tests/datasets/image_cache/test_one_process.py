from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.image_cache.one_process import on_main_process


def fail():
    raise DatasetError('images', ['one cannot be read'])


def work(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    result = on_main_process(lambda: {'rank': dist.get_rank(), 'pid': os.getpid()})
    try:
        on_main_process(fail)
    except DatasetError as error:
        Path(folder, str(rank)).write_text(f'{result} {error.problems}')
    dist.destroy_process_group()


def test_one_does_it_and_all_have_the_result_or_the_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(work, (port, str(tmp_path)), nprocs=2, start_method='fork')
    first, second = ((tmp_path / str(rank)).read_text() for rank in (0, 1))
    assert first == second
    assert "'rank': 0" in first and 'one cannot be read' in first


def test_a_process_that_is_alone():
    assert on_main_process(lambda: 3) == 3
    with pytest.raises(DatasetError, match='one cannot be read'):
        on_main_process(fail)
