"""Data workers that die, mostly since memory that they share with training ran out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ff_mm.engine.mmengine_patches import without_worker_traceback
from ff_mm.errors import FFMMError

# Of its death; what a worker has raised says 'in DataLoader worker process'.
_WORDS = (
    'DataLoader worker (pid',
    'unable to open shared memory',
    'unable to allocate shared memory',
    'insufficient sha',
)


class WorkerError(FFMMError):
    """A data worker that died, or that memory did not suffice for."""


def what_it_says(error: BaseException) -> str:
    """Gives an error's message in one line: its last, if a worker has raised it."""
    said = str(error).strip()
    last_line = 'Original Traceback' in said and said.splitlines()[-1]
    return ' '.join((last_line or said).split())


def worker_failure(error: BaseException) -> str | None:
    """Says in a line that data workers have died, and what to do; None: it is not that.

    Args:
        error: What was raised while images were loaded.
    """
    if not isinstance(error, RuntimeError):
        return None
    text = what_it_says(error)
    if not any(words in text for words in _WORDS):
        return None
    return (
        f'{text if len(text) <= 200 else text[:197] + "..."}; mostly memory, or shared '
        'memory (/dev/shm), ran out: lower num_workers of the data loaders, or give a '
        'container more of it (docker run --shm-size=8g)'
    )


@contextmanager
def loading_images() -> Iterator[None]:
    """Says what data workers have raised, or died of, in a line of its own.

    Raises:
        FFMMError: What a worker has raised, without its traceback.
        WorkerError: Workers have died.
    """
    try:
        with without_worker_traceback():
            yield
    except RuntimeError as error:
        reason = worker_failure(error)
        if reason is None:
            raise
        raise WorkerError(f'data workers: {reason}') from error
