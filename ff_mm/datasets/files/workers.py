"""One function over many images, in several processes, with progress."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import cv2
from rich.console import Console

from ff_mm.display.console import make_console
from ff_mm.display.progress import CountProgress
from ff_mm.errors import FFMMError

T = TypeVar('T')
R = TypeVar('R')

# Images that a worker takes at a time: enough that handing over costs nothing.
_BATCH = 16
# Batches in flight for each worker; what is further ahead is not in memory yet.
_AHEAD = 4


class WorkerError(FFMMError):
    """A worker process that has died."""


def track(
    function: Callable[[T], R],
    tasks: Iterable[T],
    total: int,
    workers: int,
    title: str,
    console: Console | None = None,
    batch: int = _BATCH,
) -> Iterator[R]:
    """Applies a function to many images and shows how far it is.

    On a terminal there is a bar with images a second and the time left, elsewhere (a
    log file) a line for each tenth, unless it comes at once after the last one.

    Args:
        function: What to do with a task. With several workers it must be picklable, as
            must tasks and results.
        tasks: One for each image. They are taken as they are needed.
        total: How many there are.
        workers: Number of processes; with 0 or 1 all is done in this one.
        title: What is being done.
        console: Where to draw; standard output by default.
        batch: At most so many tasks are handed to a worker at a time, at least one.
            Fewer where results are large: four times as many for each worker wait in
            memory.

    Yields:
        The results, in the order of the tasks.

    Raises:
        WorkerError: A worker has died, mostly for lack of memory.
    """
    console = console or make_console()
    with _pool(workers) as pool, CountProgress(title, total, console) as progress:
        for result in _apply(
            function, iter(tasks), pool, _AHEAD * workers, max(1, min(batch, _BATCH))
        ):
            progress.advance()
            yield result


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    if workers <= 1:
        yield None
        return
    executor = ProcessPoolExecutor(workers, initializer=_start_worker)
    try:
        # The first task starts all workers. Later the bar's thread would be running,
        # and a process with threads is not to be forked.
        executor.submit(os.getpid).result()
        yield executor
    except BrokenProcessPool:
        raise WorkerError(
            f'one of {workers} worker processes has died, most likely for lack of '
            'memory: give fewer --workers'
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def _apply(
    function: Callable[[T], R],
    tasks: Iterator[T],
    pool: ProcessPoolExecutor | None,
    ahead: int,
    size: int,
) -> Iterator[R]:
    if pool is None:
        yield from map(function, tasks)
        return
    pending: deque[Future[list[R]]] = deque()
    while batch := list(islice(tasks, size)):
        pending.append(pool.submit(_apply_to_batch, function, batch))
        if len(pending) >= ahead:
            yield from pending.popleft().result()
    while pending:
        yield from pending.popleft().result()


def _apply_to_batch(function: Callable[[T], R], batch: list[T]) -> list[R]:
    return [function(task) for task in batch]


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the main process ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # There is a process for each core already.
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends a worker whose main process was killed and could not end it."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
