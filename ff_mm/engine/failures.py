"""Which errors are of one trial, so that the others can go on."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import torch

from ff_mm.errors import TrialDiverged

_NO_MEMORY = ("can't allocate memory", 'out of memory', 'ALLOC_FAILED')
# Of its death; what a worker has raised says 'in DataLoader worker process'.
_WORKER = ('DataLoader worker (pid', 'unable to open shared memory', 'insufficient sha')


@dataclass(frozen=True)
class Failure:
    """How a trial has failed.

    Attributes:
        kind: In a few words.
        reason: A line for the user.
        may_pass: Whether it may do better next time, with the same config.
    """

    kind: str
    reason: str
    may_pass: bool


def failure_of(error: BaseException) -> Failure | None:
    """Says how a trial has failed; None if the error is not of this trial alone.

    Divergence is a property of the hyper-parameters. Memory and data workers are of the
    machine, which may serve other trials, or this one later. All else (a full disk,
    files that cannot be read, mistakes in the config or in the program) would meet
    every trial.

    Args:
        error: What was raised while the trial was trained.
    """
    # Of what a worker has raised the last line says what it was.
    said = str(error).strip()
    last_line = 'Original Traceback' in said and said.splitlines()[-1]
    text = ' '.join((last_line or said).split())
    if isinstance(error, TrialDiverged):
        return Failure('diverged', text, may_pass=False)
    if _is_out_of_memory(error, text):
        reason = f'{_short(text)}; it needs a device with more memory, or to itself'
        return Failure('out of memory', reason, may_pass=True)
    if isinstance(error, RuntimeError) and any(words in text for words in _WORKER):
        reason = (
            f'{_short(text)}; mostly memory, or shared memory (/dev/shm), ran out: '
            'lower num_workers of the data loaders'
        )
        return Failure('data worker died', reason, may_pass=True)
    return None


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(w in text for w in _NO_MEMORY)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f'{text[:197]}...'
