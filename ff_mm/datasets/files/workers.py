"""One function over many images, in several processes, with progress."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ff_mm.analysis.progress import duration, make_console, say
from ff_mm.errors import FFMMError

T = TypeVar('T')
R = TypeVar('R')

# Images that a worker takes at a time: enough that handing over costs nothing.
_BATCH = 16
# Batches in flight for each worker; what is further ahead is not in memory yet.
_AHEAD = 4
# Between two lines in a log file.
_SECONDS_BETWEEN_LINES = 5


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
    with _pool(workers) as pool, ImageProgress(title, total, console) as progress:
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
    pending = deque()
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
    multiprocessing.parent_process().join()
    os._exit(1)


class ImageProgress:
    """Shows how many images are done, how fast, and the time left.

    Args:
        title: What is being done.
        total: Number of images.
        console: Where to draw.
    """

    def __init__(self, title: str, total: int, console: Console) -> None:
        self.title, self.total, self.console = title, total, console
        self._done = 0
        self._began = self._said = time.perf_counter()
        self._bar = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TextColumn('left:'),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> ImageProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """One more image is done."""
        self._done += 1
        self._bar.advance(self._task)
        tenth = self._done * 10 // self.total
        if self._bar.disable and tenth != (self._done - 1) * 10 // self.total:
            self._say()

    def _say(self) -> None:
        now = time.perf_counter()
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        self._said = now
        left = (now - self._began) / self._done * (self.total - self._done)
        say(
            f'[{self._done}/{self.total} images, {duration(left)} left] {self.title}',
            self.console,
        )


class _Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        """Gives the speed, or nothing before there is one."""
        speed = task.finished_speed or task.speed
        return Text(f'{speed:.0f} images/s' if speed else '')
