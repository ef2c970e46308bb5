"""Files that are written while training goes on."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from mmengine.fileio import LocalBackend, register_backend

from ff_mm.files import atomic_write

# The best epoch and the state after it: as many copies may be in memory, of which the
# one may be still in the making.
_FILES_AT_MOST = 2


class BackgroundWriter:
    """Carries out what takes long on a disk, in order, in one thread.

    Nothing is done after what has failed. So whoever is killed leaves what would have
    been left by writing in the loop, a little earlier. What has failed is raised by
    whatever method is called next, and all is forgotten that was to come after it.

    Attributes:
        allowed: Asked, in the thread, before anything changes on disk. Once it says no,
            nothing is done any more, silently: whoever trains hears of it elsewhere.
    """

    def __init__(self) -> None:
        self.allowed: Callable[[], bool] = lambda: True
        self._stopped = threading.Event()
        self._waiting: deque[Future[None]] = deque()
        self._files: deque[Future[None]] = deque()
        self._thread: ThreadPoolExecutor | None = None
        self._number = next(_numbers)
        _writers[self._number] = self

    @property
    def backend_args(self) -> dict[str, Any]:
        """With what MMEngine saves by this writer; see :class:`BackgroundBackend`."""
        return dict(backend='background', number=self._number)

    def make_room(self) -> None:
        """Waits until there is room in memory for one more file to be written.

        Raises:
            Exception: What earlier work has raised.
        """
        while len(self._files) >= _FILES_AT_MOST:
            wait([self._files.popleft()])
        self.check()

    def submit(self, work: Callable[[], None]) -> None:
        """Has work done after all that was given before.

        Args:
            work: What to do.

        Raises:
            Exception: What earlier work has raised.
        """
        self.check()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, 'ff_mm-writer')
        self._waiting.append(self._thread.submit(self._do, work))

    def write(self, content: bytes, path: str | Path) -> None:
        """Has a file written, atomically, as soon as there is room.

        Args:
            content: Of the file.
            path: The file.

        Raises:
            Exception: What earlier work has raised.
        """
        self.make_room()
        self.submit(partial(self._write, content, path))
        self._files.append(self._waiting[-1])

    def check(self) -> None:
        """Raises what has failed, if something has; waits for nothing.

        Raises:
            Exception: What some work has raised.
        """
        while self._waiting and self._waiting[0].done():
            self._finish_first()

    def wait(self) -> None:
        """Waits until all is done.

        Raises:
            Exception: What some of it has raised.
        """
        while self._waiting:
            self._finish_first()

    def close(self) -> None:
        """Waits until all is done, and ends the thread.

        It raises nothing: for when all is done, or something else has gone wrong.
        """
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._waiting.clear()
        self._files.clear()

    def _finish_first(self) -> None:
        first = self._waiting.popleft()
        try:
            first.result()
        except BaseException:
            self.close()  # what came after it was not done
            self._stopped.clear()
            raise

    def _do(self, work: Callable[[], None]) -> None:
        if self._may_go_on():
            try:
                work()
            except BaseException:
                self._stopped.set()
                raise

    def _may_go_on(self) -> bool:
        if not self._stopped.is_set() and not self.allowed():
            self._stopped.set()
        return not self._stopped.is_set()

    def _write(self, content: bytes, path: str | Path) -> None:
        try:
            with atomic_write(path) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                if not self._may_go_on():  # writing has taken its time
                    raise _NotAllowedError
        except _NotAllowedError:
            pass


class _NotAllowedError(Exception):
    """What is written is not ours to write any more."""


_numbers = itertools.count()
# MMEngine takes only what JSON has for the arguments of a backend.
_writers: WeakValueDictionary[int, BackgroundWriter] = WeakValueDictionary()


@register_backend('background', force=True)
class BackgroundBackend(LocalBackend):
    """MMEngine's way to a :class:`BackgroundWriter`.

    Args:
        number: Whose, see :attr:`BackgroundWriter.backend_args`.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Has bytes written, which MMEngine has made for this alone."""
        _writers[self.number].write(obj, filepath)
