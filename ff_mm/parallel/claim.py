"""The right of one process to do one thing, kept in files that all processes see."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ff_mm.errors import FFMMError
from ff_mm.files import check_own_folder, read_json, write_json
from ff_mm.parallel.holder import UNKNOWN, Holder, started_at
from ff_mm.records import COUNT, PLAIN, TEXT, Table

# Seconds between two signs of life, and without one until an owner on another machine
# counts as dead. Network file systems may show a file's time a minute late.
BEAT = 15.0
DEAD_AFTER = 150.0
_LOOK_AGAIN = 0.5

# More holders than any name has had, and more bytes than who holds it takes.
_MOST, _LARGEST = 10**6, 1 << 16


_HOLDER = Table(host=TEXT, machine=PLAIN, pid=COUNT, started=COUNT, since=TEXT)


class ClaimError(FFMMError):
    """A file of a claim that no process has made."""


class InUseError(FFMMError):
    """What one process at a time may use, and another uses now."""


class Claim:
    """A claim on a name in a folder; one process at a time holds it.

    Each holder makes a file ``<name>.<n>``, which only one process can (a hard link, or
    ``O_EXCL``; on network file systems as well). The last number is the one that
    counts; as long as anything can be claimed none is removed, so that a judgement that
    has become old does no harm: whoever finds holder n dead or gone can only become
    n + 1, and only one can.

    A holder on the same machine is dead if there is no such process. One on another
    machine gives a sign of life every :data:`BEAT` seconds (the time of its file), and
    is dead :data:`DEAD_AFTER` seconds after the last. That has passed if the file is so
    much older than one made now, so that clocks need not agree; or if this process has
    seen no other time of it for so long, by a count that no clock can set, since a
    clock that was set back leaves files of the future. A process that slept for so
    long finds out with :attr:`is_mine`.

    Args:
        folder: Where claims are kept; made if need be.
        name: What is claimed, fit for a file's name.
    """

    def __init__(self, folder: str | Path, name: str) -> None:
        self.folder = Path(folder)
        self.name = name
        self._number = 0
        self._released = threading.Event()

    def take(self) -> bool:
        """Takes the claim, unless another process, or object, holds it.

        Returns:
            Whether it is now this object's.
        """
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            last = self._last()
            if last and self._holder_of(last) is not None:
                return False
            # Another was faster; or has removed the folder, as all is done.
            with suppress(FileExistsError, FileNotFoundError):
                self._make(last + 1)
                if self.is_mine:
                    return True
                self.release()

    @contextmanager
    def held(self, notify: Callable[[Holder], None] | None = None) -> Iterator[None]:
        """Holds the claim for a while, and waits for it as long as it takes.

        Args:
            notify: Called once with who holds it, if it has to be waited for.
        """
        while not self.take():
            if notify is not None and (holder := self.holder) is not None:
                notify(holder)
                notify = None
            time.sleep(_LOOK_AGAIN)
        try:
            yield
        finally:
            self.release()

    @property
    def holder(self) -> Holder | None:
        """The living holder, if there is one."""
        last = self._last()
        return self._holder_of(last) if last else None

    @property
    def last_sign(self) -> tuple[int, float]:
        """Number of the last holder, and when it gave a sign of life, by its file."""
        last = self._last()
        with suppress(FileNotFoundError):
            return last, self._path(last).lstat().st_mtime
        return last, 0.0

    @property
    def is_mine(self) -> bool:
        """Whether this object holds the claim still."""
        return self._path(self._number) in _held and self._last() == self._number

    def release(self) -> None:
        """Gives the claim free; does nothing if it is not held."""
        path = self._path(self._number)
        if path not in _held:
            return
        self._released.set()
        _held.discard(path)
        with suppress(OSError):  # a full disk; the end of this process will do
            write_json(dict(released=True), path)

    def remove(self) -> None:
        """Removes the files, once the work is done for which the name was claimed.

        Those of who has taken the claim since stay.
        """
        for number in self._numbers():
            if number <= self._number or not self._number:
                with suppress(OSError):  # what cannot be removed does no harm
                    self._path(number).unlink(missing_ok=True)

    def _make(self, number: int) -> None:
        path = self._path(number)
        part = self.folder / f'.{self.name}.{secrets.token_hex(8)}.part'
        try:
            _write_new(part, asdict(Holder.this_process()))
            _give_name(part, path)
        finally:
            part.unlink(missing_ok=True)
        self._number = number
        _held.add(path)
        self._released.clear()
        threading.Thread(target=self._live, args=(path,), daemon=True).start()

    def _live(self, path: Path) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # the next sign may succeed
                os.utime(path)

    def _last(self) -> int:
        """The number that counts; 0 if there is none."""
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        """The numbers of all holders there have been.

        Raises:
            ClaimError: One is none that anybody has been given.
        """
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        begin = f'{self.name}.'
        endings = [name[len(begin) :] for name in names if name.startswith(begin)]
        numbers = [end for end in endings if end.isdecimal()]
        for number in numbers:
            if len(number) > len(str(_MOST)) or not 0 < int(number) <= _MOST:
                path = self.folder / f'{begin}{number}'
                raise ClaimError(
                    f'{path}: expected a number from 1 to {_MOST} at the end of the '
                    'name of a claim; nobody has made this file, remove it'
                )
        return [int(number) for number in numbers]

    def _path(self, number: int) -> Path:
        return self.folder / f'{self.name}.{number}'

    def _holder_of(self, number: int) -> Holder | None:
        path = self._path(number)
        try:
            if path.stat().st_size > _LARGEST:
                raise ClaimError(f'{path}: is no claim of a process; remove it')
            content = read_json(path)
            if content.get('released'):
                return None
            known = _HOLDER.read(content)
            holder = Holder(**{f.name: known[f.name] for f in fields(Holder)})
        except ClaimError:
            raise
        except (ValueError, AttributeError, OSError):
            holder = UNKNOWN  # being written, or its writer died over it
        return holder if self._is_alive(holder, path) else None

    def _is_alive(self, holder: Holder, path: Path) -> bool:
        if holder.is_here:
            if holder.pid == os.getpid() and holder.started == started_at(holder.pid):
                return path in _held
            return started_at(holder.pid) == holder.started
        return self._silence(path) < DEAD_AFTER

    def _silence(self, path: Path) -> float:
        """Seconds since the last sign of life, by the file system or by watching."""
        now = self.folder / f'.now.{secrets.token_hex(8)}'
        try:
            now.touch()
            sign = path.lstat().st_mtime
            age = now.stat().st_mtime - sign
        except FileNotFoundError:  # the whole folder has been removed
            return float('inf')
        finally:
            now.unlink(missing_ok=True)
        return max(age, _watched(path, sign))


@contextmanager
def only_one(
    folder: str | Path,
    name: str,
    hint: str = '',
    notify: Callable[[str], None] = lambda line: None,
) -> Iterator[None]:
    """Holds a claim, and refuses to wait for another process to end.

    A process on another machine is waited for until it gives a sign of life, or counts
    as dead: a job that was killed and goes on elsewhere finds its own claim.

    Args:
        folder: The work directory in which only one process may be at work.
        name: What is claimed.
        hint: What else the user can do.
        notify: Takes lines for the user.

    Raises:
        InUseError: Another process holds it.
        NotRegularError: It is no folder, or links lead out of it.
    """
    check_own_folder(folder)
    claim = Claim(folder, name)
    if not claim.take():
        holder = claim.holder or UNKNOWN
        text = f'{folder}: {holder} is at work there'
        if not holder.is_here:
            notify(
                f'{text}, or has died; waiting {DEAD_AFTER:.0f} s for a sign of life'
            )
        if holder.is_here or not _outlive(claim):
            raise InUseError(
                f'{text}; wait for it, stop it, or give another --work-dir{hint}'
            )
    try:
        yield
    finally:
        claim.release()
        claim.remove()
        with suppress(OSError):  # there is something in it
            Path(folder).rmdir()


def _outlive(claim: Claim) -> bool:
    """Takes a claim once its holder counts as dead; tells whether it has been so."""
    before = claim.last_sign
    while not claim.take():
        if claim.last_sign != before:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _write_new(path: Path, content: dict[str, Any]) -> None:
    with open(path, 'x', encoding='utf-8') as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


def _give_name(part: Path, path: Path) -> None:
    """Gives a file a second name, if there is no file of that name.

    A link is as exclusive as O_EXCL, and what it names is whole: else a process that is
    killed between making its file and writing it would seem alive for a while.

    Raises:
        FileExistsError: There is one.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        _write_new(path, json.loads(part.read_text(encoding='utf-8')))


def claimed_names(folder: str | Path) -> set[str]:
    """The names in a folder that have ever been claimed."""
    try:
        return {name.rpartition('.')[0] for name in os.listdir(folder)}
    except FileNotFoundError:
        return set()


# Files of the claims that this process holds.
_held: set[Path] = set()
# Of those of other machines: the last sign of life, and when it was first seen.
_seen: dict[Path, tuple[float, float]] = {}


def _watched(path: Path, sign: float) -> float:
    """Seconds for which this process has seen the same sign of life."""
    now = time.monotonic()
    if path not in _seen or _seen[path][0] != sign:
        _seen[path] = sign, now
    return now - _seen[path][1]
