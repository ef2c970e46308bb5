"""Files that are either whole or not there: atomic writing, strict JSON, SHA-256.

There is one way to open each kind of file, since a work directory, a pool or a data set
may come from a stranger: :func:`open_regular` to read, :func:`append_text` to append,
:func:`atomic_write` for all else. None of them waits for a pipe, reads a device without
end, or writes through a link. :func:`check_own_folder` keeps links out of the way.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ff_mm.errors import FFMMError

PathLike = str | os.PathLike[str]

# Windows has neither. With the first one a pipe without a writer is not waited for.
_AT_ONCE = getattr(os, 'O_NONBLOCK', 0)
_NO_LINK = getattr(os, 'O_NOFOLLOW', 0)
_KINDS = {
    stat.S_IFLNK: 'a link',
    stat.S_IFIFO: 'a pipe',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device',
    stat.S_IFDIR: 'a folder',
}


class NotRegularError(FFMMError):
    """What bears the name of a file and is a link, a pipe, a device or a folder."""


def open_regular(path: PathLike, mode: str = 'rb') -> IO[Any]:
    """Open a file to read; links to one are followed.

    Args:
        path: The file.
        mode: ``'rb'``, or ``'r'`` for UTF-8 text.

    Raises:
        NotRegularError: If it is a pipe, a device or a socket, which may have no end.
        OSError: As of :func:`open`.
    """
    encoding = None if 'b' in mode else 'utf-8'
    return open(path, mode, encoding=encoding, opener=_open_regular)


def append_text(path: PathLike, text: str, sync: bool = True) -> None:
    """Append UTF-8 text to a file, which is on disk when this returns.

    Parent directories are created, and so is the file.

    Args:
        path: The file.
        text: What is added to it.
        sync: Whether to wait for the disk. If not, the system has the text: it is lost
            if the machine breaks down, not if this process does.

    Raises:
        NotRegularError: If it is a link, a pipe, a device or a socket.
        OSError: If it cannot be written, with ``path`` as its ``filename``.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, 'a', encoding='utf-8', opener=_open_own) as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError as error:  # Python names no file when a write fails
        raise OSError(error.errno, error.strerror, str(path)) from error


def refuse_irregular(path: PathLike) -> None:
    """Refuse what :func:`append_text` would, before any work; it may be absent.

    Raises:
        NotRegularError: If it is a link, a pipe, a device, a socket or a folder.
    """
    with suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            raise _not_regular(path, mode)


def _open_regular(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | _AT_ONCE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _not_regular(path, os.stat(path).st_mode) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # of which Python says what it is
        return descriptor
    os.close(descriptor)
    raise _not_regular(path, mode)


def _open_own(path: str, flags: int) -> int:
    refuse_irregular(path)
    # Once more, for what has come in between.
    return _open_regular(path, flags | _NO_LINK)


def _not_regular(path: PathLike, mode: int) -> NotRegularError:
    kind = _KINDS.get(stat.S_IFMT(mode), 'no file')
    return NotRegularError(
        f'{os.fspath(path)}: is {kind}, expected a regular file; remove it'
    )


def check_folder(folder: PathLike) -> None:
    """Refuse what is there in place of a folder; it may be absent.

    Raises:
        NotRegularError: If it is a file.
        OSError: If it cannot be looked at: its name is too long, say.
    """
    try:
        mode = os.stat(folder).st_mode
    except (FileNotFoundError, NotADirectoryError):  # who makes it says what is wrong
        return
    if not stat.S_ISDIR(mode):
        raise NotRegularError(
            f'{os.fspath(folder)}: is no folder, and files are to be written into it; '
            'give another one'
        )


def check_own_folder(folder: PathLike) -> None:
    """Refuse a folder to write to in which folders are links that lead out of it.

    What is written there, or removed as a leftover, would be somebody else's. The
    folder itself may be reached through links, may be absent, and may hold any link
    that stays in it. Links to files do no harm: those are replaced, or refused.

    Args:
        folder: A work directory, or where a copy goes.

    Raises:
        NotRegularError: If it is a file, or with the first such link.
        OSError: As of :func:`check_folder`.
    """
    check_folder(folder)
    real = Path(os.path.realpath(folder))
    for above, subfolders, _ in os.walk(folder):
        for name in subfolders:
            path = os.path.join(above, name)
            if os.path.islink(path) and not _is_below(path, real):
                raise NotRegularError(
                    f'{path}: is a link that leads out of {os.fspath(folder)}, and '
                    'nothing is written through such; put the folder itself there'
                )


def _is_below(path: str, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


@contextmanager
def atomic_write(path: PathLike, mode: str = 'wb') -> Iterator[IO[Any]]:
    """Open a file that appears under its name only once it is complete.

    What is written goes to a temporary file in the same directory, reaches the
    disk, and then replaces ``path`` in one step, which replaces a link, too, and leaves
    alone what it led to. On any exception ``path`` stays as it was and the temporary
    file is removed. Parent directories are created.

    Args:
        path: The file to write.
        mode: ``'wb'``, or ``'w'`` for UTF-8 text.

    Yields:
        The open temporary file.

    Raises:
        ValueError: If ``mode`` is neither ``'wb'`` nor ``'w'``.
        NotRegularError: If ``path`` is a device.
        OSError: If it cannot be written, with ``path`` as its ``filename``, be it that
            torch said it in words of its own.
    """
    if mode not in ('w', 'wb'):
        raise ValueError(f"mode must be 'w' or 'wb', got {mode!r}")
    path = Path(path)
    _check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by the owner alone, and stay so.
    part = path.with_name(f'.{path.name}.{secrets.token_hex(8)}.part')
    encoding = 'utf-8' if mode == 'w' else None
    try:
        with open(part, mode.replace('w', 'x'), encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):  # as the error, which matters, may be of the disk
            part.unlink(missing_ok=True)
        if (reason := _os_error(error, part)) is not None:
            raise OSError(reason.errno, reason.strerror, str(path)) from error
        raise
    _sync_directory(path.parent)


def _check_replaceable(path: Path) -> None:
    """Refuse what must not be replaced: folders, and devices, which root could."""
    with suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise _not_regular(path, mode)


def _os_error(error: BaseException, part: Path) -> OSError | None:
    """The error of writing ``part`` that led to an exception, if one did.

    When a write fails torch.save raises an error about positions in its archive.
    """
    # An interruption stays one, whatever came before it.
    seen: BaseException | None
    seen = error if isinstance(error, OSError | RuntimeError) else None
    # Python names no file when a write fails, only when opening does.
    ours = (None, str(part))
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno and seen.filename in ours:
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def matching(pattern: str) -> list[str]:
    """Give the paths that a pattern such as ``'runs/*/best*.pth'`` fits, sorted.

    What is literally called so wins: if there is a folder ``run[1]``, it is meant, and
    not ``run1``.
    """
    return sorted(_matching('', Path(pattern).parts))


def _matching(folder: str, parts: Sequence[str]) -> Iterator[str]:
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    literal = os.path.join(folder, part)
    if os.path.lexists(literal):
        yield from _matching(literal, rest)
    elif '**' in part:
        pattern = os.path.join(glob.escape(folder), *parts)
        yield from glob.glob(pattern, recursive=True)
    elif glob.has_magic(part):
        for path in glob.glob(os.path.join(glob.escape(folder), part)):
            yield from _matching(path, rest)


def remove_unfinished(directory: PathLike, name: str = '') -> None:
    """Remove what killed processes have left of files that they were writing.

    Args:
        directory: Where nobody writes such files now.
        name: With what the files' names begin.
    """
    for part in Path(directory).glob(f'.{name}*.part'):
        part.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    """Make a rename in ``directory`` survive a power cut, where that is possible."""
    with suppress(OSError):  # Windows, and some network file systems, cannot
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(obj: Any, path: PathLike) -> None:
    """Write strict JSON atomically; NaN and infinities, which JSON lacks, as null.

    Args:
        obj: Dicts, lists, tuples, strings, numbers, booleans and None.
        path: The file to write, in UTF-8, indented by 2.

    Raises:
        TypeError: If ``obj`` holds something else; ``path`` is then left alone.
    """
    text = json.dumps(_finite(obj), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path, 'w') as file:
        file.write(text + '\n')


def _finite(obj: Any) -> Any:
    """``obj`` with every float that JSON cannot express replaced by None."""
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, dict):
        return {key: _finite(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_finite(value) for value in obj]
    return obj


def read_json(path: PathLike) -> Any:
    """Read a JSON file.

    Args:
        path: The file to read, in UTF-8.

    Returns:
        What the file says.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is cut short, is not JSON, or no regular file.
    """
    try:
        with open_regular(path, 'r') as file:
            return json.load(file, parse_constant=_refuse_constant)
    except NotRegularError:
        raise
    # JSONDecodeError and UnicodeDecodeError are ValueErrors; the other is of brackets
    # within brackets without end.
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not JSON, or cut short: {error}') from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f'{name} is no number of JSON')


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
