"""Which errors are of one trial, so that the others can go on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ff_mm.errors import TrialDiverged

_NO_MEMORY = ("can't allocate memory", 'out of memory')
_WORKER = ('DataLoader worker', 'unable to open shared memory', 'insufficient shared')


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
    text = ' '.join(str(error).split())
    if isinstance(error, TrialDiverged):
        return Failure('diverged', text, may_pass=False)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)
    ):
        reason = f'{_short(text)}; it needs a device with more memory, or to itself'
        return Failure('out of memory', reason, may_pass=True)
    if isinstance(error, RuntimeError) and any(words in text for words in _WORKER):
        reason = (
            f'{_short(text)}; mostly memory, or shared memory (/dev/shm), ran out: '
            'lower num_workers of the data loaders'
        )
        return Failure('data worker died', reason, may_pass=True)
    return None


def _short(text: str) -> str:
    return text if len(text) <= 200 else f'{text[:197]}...'
