"""Standard output that may go away: a pipe whose reader ends, a disk that is full."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# A pipe's has ended, a terminal has gone.
_NO_READER = (errno.EPIPE, errno.EIO)


class _Stream(io.FileIO):
    """A descriptor that takes all that is written, also once nobody reads it.

    Attributes:
        failed: Why nothing is written any more.
        is_output: Whether that is said, on standard error.
    """

    failed: OSError | None = None
    is_output = False

    def write(self, content: Any) -> int:
        """Writes, or else goes on without."""
        try:
            return super().write(content)
        except OSError as error:
            self._give_up(error)
            return len(content)

    def _give_up(self, error: OSError) -> None:
        self.failed = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # for processes that are started from here, too
        os.close(nowhere)
        if self.is_output:
            print(
                f'note: standard output cannot be written ({error.strerror}); going on '
                'without it',
                file=sys.stderr,
            )


@contextmanager
def output_that_may_end() -> Iterator[Callable[[], OSError | None]]:
    """Has nothing that is printed stop what is being done.

    Training of days must not end since ``tee``, or a terminal behind a pipe, has.

    Yields:
        Says why what was printed is lost; None if it is not, or if nobody wanted it
        any more, as its reader has ended.
    """
    before = sys.stdout, sys.stderr
    (out, raw), (err, _) = map(_replaced, before)

    def lost() -> OSError | None:
        out.flush()
        if raw is None or raw.failed is None or raw.failed.errno in _NO_READER:
            return None
        return OSError(raw.failed.errno, raw.failed.strerror, 'standard output')

    sys.stdout, sys.stderr = out, err
    try:
        yield lost
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def _replaced(stream: TextIO | None) -> tuple[TextIO, _Stream | None]:
    """A stream that can do without what is behind it; others are left as they are."""
    if stream is None:  # it was closed when the process began
        return open(os.devnull, 'w'), None
    if not any(stream is own for own in (sys.__stdout__, sys.__stderr__)):
        return stream, None
    stream.flush()
    raw = _Stream(stream.fileno(), 'w', closefd=False)
    raw.is_output = stream is sys.__stdout__
    at_once = getattr(stream, 'write_through', False)  # python -u
    text = io.TextIOWrapper(
        cast(Any, raw) if at_once else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream is sys.__stderr__ or stream.isatty(),
        write_through=at_once,
    )
    return text, raw
