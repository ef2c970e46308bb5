"""Who holds which of many claims, by one look at their folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

from ff_mm.parallel.claim import is_alive, numbers_in, read_holder, silence, time_in
from ff_mm.parallel.holder import UNKNOWN, Holder


class Watch:
    """Many claims of one folder, looked at together.

    A :class:`~ff_mm.parallel.claim.Claim` asks the file system eight times for itself,
    which is too often where hundreds of processes wait for hundreds of trials. One look
    lists the folder, makes at most one file to tell the time by, asks the last file of
    each claim for its time, and reads those alone that it has not read before.

    Args:
        folder: Where the claims are.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._read: dict[Path, tuple[tuple[int, int], Holder | None]] = {}

    def look(self, names: Collection[str]) -> dict[str, Holder | None]:
        """Tells who is at work on what.

        Args:
            names: What may have been claimed.

        Returns:
            The living holders by name; None where there is none any more. Names that
            nobody has claimed are absent, unless there is no folder that could say so.

        Raises:
            ClaimError: A file that no process has made.
        """
        if not names:
            return {}
        try:
            numbers = numbers_in(self._folder, set(names))
        except FileNotFoundError:
            return dict.fromkeys(names)
        now = cache(lambda: time_in(self._folder))
        return {
            name: self._living(self._folder / f'{name}.{max(numbers[name])}', now)
            for name in names
            if name in numbers
        }

    def _living(self, path: Path, now: Callable[[], float]) -> Holder | None:
        """Who has made a file and lives."""
        try:
            found = path.lstat()
            holder = self._holder(path, (found.st_ino, found.st_size))
            if holder is not None and is_alive(
                holder, path, lambda path: silence(path, found.st_mtime, now())
            ):
                return holder
        except FileNotFoundError:  # the folder is being removed
            pass
        return None

    def _holder(self, path: Path, mark: tuple[int, int]) -> Holder | None:
        """Who has made a file, which says the same as long as it is the same file."""
        known = self._read.get(path)
        if known is not None and known[0] == mark:
            return known[1]
        holder = read_holder(path)
        if holder is not UNKNOWN:  # which may be being written
            self._read[path] = mark, holder
        return holder
