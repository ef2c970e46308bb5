"""A summary of files that several processes write."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar('T')


def write_until_current(read: Callable[[], T], write: Callable[[T], None]) -> T:
    """Writes a summary of files that other processes write, and is not overtaken.

    Whoever writes an old state over a new one sees it afterwards and writes again. So
    once all are done, the summary is that of the last state, without any lock.

    Args:
        read: Returns the state of the files.
        write: Writes the summary, atomically.

    Returns:
        The state that was written last.
    """
    state = read()
    while True:
        write(state)
        now = read()
        if now == state:
            return state
        state = now
