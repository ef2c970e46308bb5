"""The right of one process to do one thing, kept in files that all processes see."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ff_mm.errors import FFMMError
from ff_mm.files import check_own_folder, read_json, write_json
from ff_mm.parallel.holder import UNKNOWN, Holder, started_at
from ff_mm.parallel.waiting import Waiting
from ff_mm.records import COUNT, PLAIN, TEXT, Table

# Seconds between two signs of life, and without one until an owner on another machine
# counts as dead. Network file systems may show a file's time a minute late.
BEAT = 15.0
DEAD_AFTER = 150.0
_LOOK_AGAIN = 0.5
# After a long wait for what is held by turns.
_LOOK_AGAIN_AT_MOST = 5.0

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
        waiting = Waiting(_LOOK_AGAIN, _LOOK_AGAIN_AT_MOST)
        while not self.take():
            if notify is not None and (holder := self.holder) is not None:
                notify(holder)
                notify = None
            time.sleep(waiting.pause())
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
        """The numbers of all holders there have been."""
        try:
            return numbers_in(self.folder, [self.name]).get(self.name, [])
        except FileNotFoundError:
            return []

    def _path(self, number: int) -> Path:
        return self.folder / f'{self.name}.{number}'

    def _holder_of(self, number: int) -> Holder | None:
        path = self._path(number)
        holder = read_holder(path)
        alive = holder is not None and is_alive(holder, path, self._silence)
        return holder if alive else None

    def _silence(self, path: Path) -> float:
        try:
            now = time_in(self.folder)
            return silence(path, path.lstat().st_mtime, now)
        except FileNotFoundError:  # the whole folder has been removed
            return float('inf')


def numbers_in(folder: Path, names: Collection[str]) -> dict[str, list[int]]:
    """Gives the numbers of all holders that there have been, by what they have claimed.

    Args:
        folder: Where the claims are, and other files may be.
        names: What may have been claimed; what nobody has is not among the keys.

    Raises:
        ClaimError: A number is none that anybody has been given.
        FileNotFoundError: There is no such folder.
    """
    found: dict[str, list[int]] = {}
    for file in os.listdir(folder):
        name, _, number = file.rpartition('.')
        if name not in names or not number.isdecimal():
            continue
        if len(number) > len(str(_MOST)) or not 0 < int(number) <= _MOST:
            raise ClaimError(
                f'{folder / file}: expected a number from 1 to {_MOST} at the end of '
                'the name of a claim; nobody has made this file, remove it'
            )
        found.setdefault(name, []).append(int(number))
    return found


def read_holder(path: Path) -> Holder | None:
    """Reads whose a claim is; None if it was released.

    Raises:
        ClaimError: It is no file of a claim.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ClaimError(f'{path}: is no claim of a process; remove it')
        content = read_json(path)
        if content.get('released'):
            return None
        known = _HOLDER.read(content)
        return Holder(**{f.name: known[f.name] for f in fields(Holder)})
    except ClaimError:
        raise
    except (ValueError, AttributeError, OSError):
        return UNKNOWN  # being written, or its writer died over it


def is_alive(holder: Holder, path: Path, silence: Callable[[Path], float]) -> bool:
    """Tells whether the holder of a claim is still at work.

    Args:
        holder: Who has made the file.
        path: Of the claim.
        silence: Gives the seconds since the last sign of life of a file, which are
            asked for of holders on other machines.
    """
    if not holder.is_here:
        return silence(path) < DEAD_AFTER
    if holder.pid == os.getpid() and holder.started == started_at(holder.pid):
        return path in _held
    return started_at(holder.pid) == holder.started


def time_in(folder: Path) -> float:
    """What time it is, by the count of the file system.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    now = folder / f'.now.{secrets.token_hex(8)}'
    try:
        now.touch()
        return now.stat().st_mtime
    finally:
        now.unlink(missing_ok=True)


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


# Files of the claims that this process holds.
_held: set[Path] = set()
# Of those of other machines: the last sign of life, and when it was first seen.
_seen: dict[Path, tuple[float, float]] = {}


def silence(path: Path, sign: float, now: float) -> float:
    """Seconds since the last sign of life, by the file system or by watching.

    Args:
        path: Of a claim.
        sign: The time of the file.
        now: What :func:`time_in` says.
    """
    watched_since = time.monotonic()
    if path not in _seen or _seen[path][0] != sign:
        _seen[path] = sign, watched_since
    return max(now - sign, watched_since - _seen[path][1])
