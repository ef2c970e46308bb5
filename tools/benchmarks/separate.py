"""Checks in processes of their own, so that what one does to its own hides no other.

Processes are forked from one that has imported everything but has never used a GPU,
where that is possible, which is tried; else each imports for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from mmengine.device import utils

from ff_mm.files import read_json, write_json


@dataclass(frozen=True)
class Setting:
    """Where a check runs.

    Attributes:
        device: ``'cuda'`` or ``'cpu'``; on a CPU all is small.
        folder: Of this check alone.
        shared: A folder for what several checks read.
        method: How processes are started: ``'fork'`` or ``'spawn'``.
    """

    device: str
    folder: Path
    shared: Path
    method: str

    @property
    def small(self) -> bool:
        """Whether it is but to be shown that the check works."""
        return self.device == 'cpu'


class CheckFailed(Exception):
    """What a check has found wrong."""


class Skipped(Exception):
    """Why a check makes no sense here."""


def require(condition: bool, otherwise: str) -> None:
    """Ends a check that has found something wrong."""
    if not condition:
        raise CheckFailed(otherwise)


def start_method() -> str:
    """How processes are started: ``'fork'`` if CUDA survives that."""
    if 'fork' not in multiprocessing.get_all_start_methods():
        return 'spawn'
    if os.environ.get('CUDA_VISIBLE_DEVICES') == '-1':
        return 'fork'
    process = multiprocessing.get_context('fork').Process(target=_use_cuda)
    process.start()
    process.join()
    return 'spawn' if process.exitcode else 'fork'


def _use_cuda() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    torch.zeros(1, device='cuda')


def run_check(
    check: Callable[[Setting], Any], setting: Setting, seconds: float
) -> dict[str, Any]:
    """Runs a check to its end, or for some seconds.

    Args:
        check: Returns figures for json.
        setting: Where.
        seconds: After which it is killed, with all that it has started.

    Returns:
        ``status`` (passed, failed, skipped, timed out, died), ``seconds``, ``figures``
        or ``reason``, and the end of what was printed, of one that has not passed.
    """
    setting.folder.mkdir(parents=True)
    context: Any = multiprocessing.get_context(setting.method)
    process = context.Process(target=_carry_out, args=(check, setting))
    began = time.monotonic()
    process.start()
    process.join(seconds)
    late = process.is_alive()
    with suppress(OSError):  # all have ended, or it had no time to make a group
        os.killpg(process.pid, signal.SIGKILL)
    if late:
        process.kill()
    process.join()
    taken = round(time.monotonic() - began, 1)
    found = _outcome(setting, process, seconds if late else None)
    if found['status'] not in ('passed', 'skipped'):
        log = setting.folder / 'log.txt'
        said = log.read_text(errors='replace') if log.exists() else ''
        found['output'] = said[-3000:]
    return dict(found, seconds=taken)


def _outcome(
    setting: Setting, process: BaseProcess, limit: float | None
) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return dict(read_json(setting.folder / 'outcome.json'))
    if limit is not None:
        return dict(status='timed out', reason=f'not done after {limit:.0f} s')
    return dict(status='died', reason=f'exit code {process.exitcode}')


def _carry_out(check: Callable[[Setting], Any], setting: Setting) -> None:
    os.setsid()
    os.chdir(setting.folder)
    with open('log.txt', 'w', buffering=1) as log:
        os.dup2(log.fileno(), 1)  # of the processes that it starts, too
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        write_json(_outcome_of(check, setting), 'outcome.json')


def _outcome_of(check: Callable[[Setting], Any], setting: Setting) -> dict[str, Any]:
    try:
        here = 'cuda' if torch.cuda.is_available() else 'cpu'
        require(here == setting.device, f'torch sees no {setting.device}')
        return dict(status='passed', figures=check(setting))
    except Skipped as reason:
        return dict(status='skipped', reason=str(reason))
    except Exception as error:
        traceback.print_exc()
        text = str(error) if isinstance(error, CheckFailed) else repr(error)
        return dict(status='failed', reason=text[:500])


def start(
    setting: Setting, work: Callable[..., Any], *args: Any, device: str | None = None
) -> tuple[BaseProcess, Any]:
    """Starts a function of a module in a process of its own.

    The process that starts it must not have used a GPU.

    Args:
        setting: Of the check.
        work: The function.
        args: For it.
        device: ``'cpu'``: without a GPU.

    Returns:
        The process, and the end of a pipe from which the result can be received.
    """
    context: Any = multiprocessing.get_context(setting.method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, work, args, device))
    before = os.environ.get('CUDA_VISIBLE_DEVICES')
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
    try:
        process.start()
    finally:
        os.environ.pop('CUDA_VISIBLE_DEVICES', None)
        if before is not None:
            os.environ['CUDA_VISIBLE_DEVICES'] = before
    sender.close()
    return process, receiver


def apart(
    setting: Setting, work: Callable[..., Any], *args: Any, device: str | None = None
) -> Any:
    """Calls a function in a process of its own; see :func:`start`."""
    process, receiver = start(setting, work, *args, device=device)
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise CheckFailed(
            f'{work.__name__} has ended with exit code {process.exitcode}'
        ) from None


def _send(sender: Any, work: Callable[..., Any], args: Any, device: str | None) -> None:
    if device == 'cpu':
        utils.DEVICE = 'cpu'  # what MMEngine has found as it was imported
    sender.send(work(*args))
