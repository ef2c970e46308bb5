"""A process that waits in C++ for another one ends after SIGTERM."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta

import pytest
import torch.distributed as dist
from many_processes import PATIENCE

from ff_mm.parallel.stuck import going_on, stop_watching, watch
from ff_mm.parallel.termination import deferred, termination_as_exception


def wait_in_torch(patience, ready):
    """Waits for what nobody is going to say, where Python's handlers do not run."""
    store = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    with termination_as_exception(), deferred():
        watch(patience, 7, 'kept')
        going_on()
        ready.set()
        store.wait(['never'], timedelta(seconds=2 * PATIENCE))


@pytest.fixture
def process():
    """Starts a process of :func:`wait_in_torch`, which is in it when this returns."""
    fork = multiprocessing.get_context('fork')
    started = []

    def start(patience):
        ready = fork.Event()
        started.append(fork.Process(target=wait_in_torch, args=(patience, ready)))
        started[-1].start()
        assert ready.wait(PATIENCE)
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_after_its_patience_it_ends_and_says_so(process, capfd):
    waiting = process(patience=0.1)
    os.kill(waiting.pid, signal.SIGTERM)
    waiting.join(PATIENCE)
    assert waiting.exitcode == 7
    assert 'waited for another process; kept' in capfd.readouterr().err


def test_other_signals_and_patience_leave_it_waiting(process):
    patient = process(patience=10 * PATIENCE)
    os.kill(patient.pid, signal.SIGTERM)
    patient.join(1)
    assert patient.is_alive()


def test_a_watch_that_is_over_leaves_nothing_behind():
    before = signal.set_wakeup_fd(-1)
    watch(0.0, 7, 'kept')
    stop_watching()
    stop_watching()
    assert signal.set_wakeup_fd(before) == before
