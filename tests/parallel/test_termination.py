from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
import time

import pytest
from many_processes import PATIENCE
from torch.utils.data import DataLoader

from ff_mm.engine.hooks.termination_hook import make_workers_endure
from ff_mm.parallel import termination
from ff_mm.parallel.termination import (
    Terminated,
    deferred,
    raise_if_requested,
    requested_at,
    termination_as_exception,
)

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='signals are POSIX')


def terminate(pid=None):
    os.kill(pid or os.getpid(), signal.SIGTERM)


@pytest.fixture
def harmless():
    """Has SIGTERM leave a note where the code under test does not take it."""
    came = []
    previous = signal.signal(signal.SIGTERM, lambda *_: came.append(True))
    yield came
    signal.signal(signal.SIGTERM, previous)


def test_sigterm_is_an_exception_at_once_and_only_once(harmless):
    with pytest.raises(Terminated), termination_as_exception():
        try:
            terminate()
            pytest.fail('went on')
        except Terminated:
            terminate()  # while what was open is closed
            raise
    terminate()
    assert harmless == [True]  # only after the end


def test_no_handler_of_errors_swallows_it(harmless):
    with pytest.raises(Terminated), termination_as_exception():
        try:
            terminate()
        except Exception:
            pytest.fail('swallowed')


def test_a_new_beginning_knows_nothing_of_an_old_request(harmless):
    for _ in range(2):
        with pytest.raises(Terminated), termination_as_exception():
            assert requested_at() is None
            terminate()
    assert requested_at() is None
    raise_if_requested()


def test_deferred_it_waits_to_the_end(harmless):
    done = []
    with pytest.raises(Terminated), termination_as_exception():
        with deferred():
            before = time.monotonic()
            terminate()
            moment = requested_at()
            assert before <= moment <= time.monotonic()
            terminate()
            assert requested_at() == moment
            with deferred():
                done.append('inner')
            done.append('outer')
        pytest.fail('went on')
    assert done == ['inner', 'outer']
    assert not harmless


def test_without_a_request_nothing_is_raised(harmless):
    with termination_as_exception(), deferred():
        raise_if_requested()


def test_an_error_goes_first_and_the_next_deferral_does_not_begin(harmless):
    with pytest.raises(Terminated), termination_as_exception():
        with pytest.raises(ZeroDivisionError), deferred():
            terminate()
            _ = 1 / 0
        with deferred():
            pytest.fail('began')


def test_within_itself_and_in_other_threads_it_does_nothing(harmless):
    handlers = []

    def in_thread():
        with termination_as_exception():
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert handlers == [before]
    with termination_as_exception():
        with termination_as_exception():
            pass
        with pytest.raises(Terminated):
            terminate()
    assert signal.getsignal(signal.SIGTERM) is before


def test_deferred_alone_leaves_sigterm_to_its_owner(harmless):
    with deferred():
        terminate()
        assert requested_at() is None
    assert harmless == [True]


@pytest.mark.parametrize('within', [False, True])
def test_forked_processes_die_of_it(harmless, within):
    context = multiprocessing.get_context('fork')
    child = context.Process(target=time.sleep, args=(PATIENCE,))
    with termination_as_exception():
        if within:
            with deferred():
                child.start()
        else:
            child.start()
        terminate(child.pid)
        child.join(PATIENCE)
        assert child.exitcode == -signal.SIGTERM


def test_what_a_library_makes_of_it_is_still_it(harmless):
    with pytest.raises(Terminated), termination_as_exception():
        try:
            try:
                terminate()
            except BaseException:
                raise SyntaxError('cannot be formatted')  # noqa: B904
        except SyntaxError as error:
            raise ValueError('no config') from error


KILLED = 'DataLoader worker (pid 7) is killed by signal: Terminated. '


def test_a_data_worker_that_died_of_the_same_signal_is_no_error(harmless):
    with pytest.raises(Terminated), termination_as_exception():
        try:
            terminate()
        finally:
            raise RuntimeError(KILLED)


def test_the_signal_may_come_after_the_workers_death(harmless, monkeypatch):
    monkeypatch.setattr(termination.time, 'sleep', lambda _: terminate())
    with pytest.raises(Terminated), termination_as_exception():
        raise RuntimeError(KILLED)


@pytest.mark.parametrize('message', [KILLED, 'something else'])
def test_other_errors_stay_what_they_are(harmless, monkeypatch, message):
    monkeypatch.setattr(termination, '_SECONDS_TO_WAIT', 0)
    with pytest.raises(RuntimeError, match=r'signal|else'), termination_as_exception():
        raise RuntimeError(message)


def from_outside(pid):
    subprocess.run(['kill', '-TERM', str(pid)], check=True)


def initialise(worker_id):
    os.environ['WORKER'] = str(worker_id)


def worker_of(number):
    """Which worker a case was loaded by, and its process."""
    return int(os.environ['WORKER']), os.getpid()


class Workers:
    """Cases that tell who loads them."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[int, int]:
        return worker_of(index)


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='needs sigwaitinfo')
def test_data_workers_are_ended_by_their_main_process_alone(harmless):
    loader = DataLoader(
        Workers(),
        num_workers=2,
        worker_init_fn=initialise,
        batch_size=None,
        persistent_workers=True,
    )
    for _ in range(2):
        make_workers_endure(loader)  # a loader may be seen more than once
    with termination_as_exception():
        seen = {tuple(case) for case in loader}
        assert {worker for worker, _ in seen} == {0, 1}
        for _, pid in seen:
            from_outside(pid)
        assert {tuple(case) for case in loader} == seen
        processes = loader._iterator._workers
        for process in processes:
            process.terminate()
            process.join(PATIENCE)
        assert [process.exitcode for process in processes] == [0, 0]
    loader._iterator = None
