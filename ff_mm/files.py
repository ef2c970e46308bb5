"""Files that are either whole or not there: atomic writing, strict JSON, SHA-256."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

PathLike = str | os.PathLike[str]


@contextmanager
def atomic_write(path: PathLike, mode: str = 'wb') -> Iterator[IO[Any]]:
    """Open a file that appears under its name only once it is complete.

    What is written goes to a temporary file in the same directory, reaches the
    disk, and then replaces ``path`` in one step. On any exception ``path`` stays as
    it was and the temporary file is removed. Parent directories are created.

    Args:
        path: The file to write.
        mode: ``'wb'``, or ``'w'`` for UTF-8 text.

    Yields:
        The open temporary file.

    Raises:
        ValueError: If ``mode`` is neither ``'wb'`` nor ``'w'``.
        OSError: If it cannot be written, with ``path`` as its ``filename``, be it that
            torch said it in words of its own.
    """
    if mode not in ('w', 'wb'):
        raise ValueError(f"mode must be 'w' or 'wb', got {mode!r}")
    path = Path(path)
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
        ValueError: If the file is cut short, or is not JSON.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
        return json.loads(text, parse_constant=_refuse_constant)
    # JSONDecodeError and UnicodeDecodeError are ValueErrors; the other is of brackets
    # within brackets without end.
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not JSON, or cut short: {error}') from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f'{name} is no number of JSON')


def sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
