"""SIGTERM as an exception: at once, or when training has come to a good place."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds after SIGTERM in which an epoch may still end, unless the config says:
# SLURM and torchrun kill 30 after it unless told otherwise, and saving takes time.
GRACE_PERIOD = 20

# Exit status of a program that SIGTERM has ended before its work was done.
TERMINATED = 128 + signal.SIGTERM

# For the SIGTERM that killed a data worker to reach this process, too.
_SECONDS_TO_WAIT = 1.0


class Terminated(BaseException):
    """SIGTERM has come, and the process is to end.

    Like KeyboardInterrupt it is no Exception: nothing is wrong, and nothing that deals
    with what is wrong may swallow it.
    """


class _Request:
    """The one request that a process can get."""

    installed = False
    deferred = False
    moment: float | None = None


_request = _Request()


@contextmanager
def termination_as_exception() -> Iterator[None]:
    """Has SIGTERM raise :class:`Terminated`, once; further ones do nothing.

    SLURM's preemption and ``scancel`` send it, torchrun when it stops or one of its
    processes has failed, clouds before they take a machine back. Within
    :func:`deferred` it waits. Processes that are forked keep the default, to die of it.

    In a thread other than the main one, where Python knows no signals, and within
    itself it does nothing.

    Raises:
        Terminated: Also in place of what a library made of it, such as MMEngine of
            whatever stops it laying out a config, and of torch's error that a data
            worker was killed, if the signal was sent to all processes of the run.
    """
    if _request.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _handle)
    _request.installed = True
    try:
        yield
    except Exception as error:
        if 'DataLoader worker (pid' in str(error):
            if _request.moment is None:
                time.sleep(_SECONDS_TO_WAIT)
            raise_if_requested()
        if _came_of_it(error):
            raise Terminated from error
        raise
    finally:
        _forget()
        # None: a handler that Python does not know.
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


@contextmanager
def deferred() -> Iterator[None]:
    """Has :class:`Terminated` wait until the end of what must not be torn apart.

    Training asks :func:`requested_at` at the places where it can stop. Within itself,
    and without :func:`termination_as_exception`, it does nothing.

    Raises:
        Terminated: At the end, or at the beginning if SIGTERM came before and
            something has swallowed the exception. An error goes first.
    """
    if _request.deferred or not _request.installed:
        yield
        return
    raise_if_requested()
    _request.deferred = True
    try:
        yield
    finally:
        _request.deferred = False
    raise_if_requested()


def requested_at() -> float | None:
    """When SIGTERM came, by :func:`time.monotonic`; None if it has not."""
    return _request.moment


def request() -> None:
    """Notes that another process of the run was sent SIGTERM.

    Within :func:`deferred` alone, whose end raises then; elsewhere it does nothing.
    """
    if _request.deferred and _request.moment is None:
        _request.moment = time.monotonic()


def raise_if_requested() -> None:
    """Raises :class:`Terminated` if SIGTERM has come.

    Raises:
        Terminated: It has.
    """
    if _request.moment is not None:
        raise Terminated


def _handle(signum: int, frame: FrameType | None) -> None:
    # A second one would tear apart what the first one's exception cleans up.
    if _request.moment is not None:
        return
    _request.moment = time.monotonic()
    if not _request.deferred:
        raise Terminated


def _came_of_it(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, Terminated):
        error = error.__cause__ or error.__context__
    return error is not None


def _forget() -> None:
    _request.installed, _request.deferred, _request.moment = False, False, None


class _Forking(threading.local):
    """The signals that a thread blocked before it began to fork."""

    blocked: Iterable[int] | None = None


_forking = _Forking()


def _before_fork() -> None:
    # Python forgets signals that a child gets before it runs; these will wait.
    if _request.installed:
        _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _after_fork_in_parent() -> None:
    if _forking.blocked is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.blocked)
        _forking.blocked = None


def _after_fork_in_child() -> None:
    if _forking.blocked is not None:
        _forget()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _after_fork_in_parent()


if hasattr(os, 'register_at_fork'):  # not on Windows, which does not fork either
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
