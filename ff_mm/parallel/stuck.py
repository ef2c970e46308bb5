"""Ending a process that waits, within torch, for another one that is gone."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time


class _Watch(threading.Thread):
    """Waits for SIGTERM in place of a main thread that may not see it.

    A collective waits in C++, where Python's own handlers do not run; what Python
    writes to its wakeup file descriptor comes at once.
    """

    def __init__(self, patience: float, status: int, said: str) -> None:
        super().__init__(daemon=True)
        self.patience, self.status, self.said = patience, status, said
        self.moved = time.monotonic()
        self.over = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # as Python wants it
        self._former = signal.set_wakeup_fd(
            self._writer.fileno(), warn_on_full_buffer=False
        )

    def run(self) -> None:
        """Ends the process once SIGTERM has come and nothing has moved for long."""
        while (signals := self._reader.recv(64)) and signal.SIGTERM not in signals:
            pass
        asked = time.monotonic()
        while (left := max(asked, self.moved) + self.patience - time.monotonic()) > 0:
            if self.over.wait(left):
                return
        if not self.over.is_set():
            text = f'terminated while it waited for another process; {self.said}\n'
            os.write(2, text.encode())
            os._exit(self.status)

    def stop(self) -> None:
        """Ends the watch; the main thread must call it."""
        self.over.set()
        signal.set_wakeup_fd(self._former)
        self._writer.close()
        self.join()
        self._reader.close()


_running: list[_Watch] = []


def watch(patience: float, status: int, said: str) -> None:
    """Has this process end after SIGTERM, even if it waits for one that has died.

    What launchers send the others when one process dies comes while these wait for it
    in a collective, and they would until torch's limit, or until they are killed.

    Outside of the main thread, where Python knows no signals, it does nothing.

    Args:
        patience: Seconds after SIGTERM, and after :func:`going_on` was called last.
        status: Exit status.
        said: What a user should know, on standard error.
    """
    stop_watching()
    if threading.current_thread() is threading.main_thread():
        _running.append(_Watch(patience, status, said))
        _running[0].start()


def going_on() -> None:
    """Tells the watch, if there is one, that this process waits for nobody."""
    for each in _running:
        each.moved = time.monotonic()


def stop_watching() -> None:
    """Ends the watch, if there is one."""
    while _running:
        _running.pop().stop()
