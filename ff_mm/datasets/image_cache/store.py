"""Pixels of many images in one file, mapped into memory by all who read it."""

from __future__ import annotations

import ast
import hashlib
import mmap
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ff_mm.datasets.errors import DatasetError
from ff_mm.errors import ConfigError
from ff_mm.files import atomic_write

# Where an image is: a hash of its name in two halves, of which the first is searched
# for; then bytes from the beginning of the file, bytes in front of the pixels, and
# bytes in all.
_ROW = np.dtype(
    [('key', '<u8'), ('check', '<u8'), ('at', '<i8'), ('head', '<i8'), ('size', '<i8')]
)


class Record(NamedTuple):
    """One image.

    Attributes:
        name: By which it is looked up: its path.
        pixels: An array of any shape and any type of numbers.
        facts: What else is known of it, plain values.
    """

    name: str
    pixels: np.ndarray
    facts: dict[str, Any]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes images to a file, and then where each of them is to another.

    The images go to ``<path without extension>.pixels``. As ``path`` is written last,
    what was begun and not ended does not count.

    Args:
        path: The index, an npy file.
        records: The images; they are taken one by one.

    Raises:
        ConfigError: An array of objects, or facts that are no plain values.
        OSError: The files cannot be written; nothing is left of them then.
    """
    rows = []
    with atomic_write(_pixel_file(path)) as file:
        for record in records:
            head = _head(record)
            size = len(head) + record.pixels.nbytes
            rows.append((*_hash(record.name), file.tell(), len(head), size))
            file.write(head)
            file.write(np.ascontiguousarray(record.pixels).data)
    index = np.array(rows, dtype=_ROW)
    index.sort(order='key')
    with atomic_write(path) as file:
        np.save(file, index, allow_pickle=False)


class RecordFile:
    """The images that :func:`write_records` has written.

    The file is opened when an image is first asked for, by each process for itself;
    what is read stays in the memory of the system, once for all of them. Copies and
    pickles hold the path alone.

    Args:
        path: The index.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened: _Opened | None = None

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__, _opened=None)

    def find(self, name: str) -> Record | None:
        """Looks an image up.

        Args:
            name: Its name.

        Returns:
            The image, or None if it is not there. The pixels are a copy, to which the
            caller may write.

        Raises:
            DatasetError: The files are gone or damaged.
        """
        if self._opened is None:
            self._opened = self._open()
        keys, rows, memory = self._opened
        key, check = _hash(name)
        # A number of another type would turn all keys into floats, at each look-up.
        place = keys.searchsorted(np.uint64(key))
        if place == len(keys) or keys[place] != key or rows[place]['check'] != check:
            return None
        _, _, at, head, size = rows[place].item()
        try:
            if not 0 <= at <= at + head <= at + size <= len(memory):
                raise ValueError('a place that it does not have')
            shape, kind, facts = _parse_head(bytes(memory[at : at + head]))
            pixels = np.frombuffer(memory[at + head : at + size], dtype=kind)
            return Record(name, pixels.reshape(shape).copy(), dict(facts))
        # What Python makes of a text that was no head.
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as e:
            raise self._damaged(e) from e

    @property
    def size(self) -> int | None:
        """Bytes of all images, or None if the files are not there as a whole."""
        try:
            expected = int(self._read_index()['size'].sum())
            whole = _pixel_file(self.path).stat().st_size == expected
        except Exception:  # NumPy raises whatever a header makes it stumble over
            return None
        return expected if whole else None

    def _open(self) -> _Opened:
        try:
            rows = self._read_index()
            memory = _map(_pixel_file(self.path))
        except Exception as error:  # as above
            raise self._damaged(error) from error
        return _Opened(np.ascontiguousarray(rows['key']), rows, memory)

    def _damaged(self, error: Exception) -> DatasetError:
        return DatasetError(
            f'{self.path}: this cache of images is gone or damaged ({error}); give '
            'the same command again, which makes it anew'
        )

    def _read_index(self) -> np.ndarray:
        rows = np.lib.format.open_memmap(self.path, mode='r')
        if rows.dtype != _ROW:
            raise ValueError('not an index')
        return rows


class _Opened(NamedTuple):
    """Sorted keys, the whole index, and the mapped pixels."""

    keys: np.ndarray
    rows: np.ndarray
    memory: memoryview


def _pixel_file(path: Path) -> Path:
    return path.with_suffix('.pixels')


def _map(path: Path) -> memoryview:
    if not path.stat().st_size:  # which mmap refuses
        return memoryview(b'')
    with open(path, 'rb') as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _hash(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(errors='surrogateescape'), digest_size=16)
    whole = digest.digest()
    return int.from_bytes(whole[:8], 'little'), int.from_bytes(whole[8:], 'little')


def _head(record: Record) -> bytes:
    """Writes down shape, type and facts as Python does, where a tuple stays one."""
    pixels = record.pixels
    if pixels.dtype.kind not in 'biuf':
        raise ConfigError(
            f'cache_images: {record.name} is loaded as {pixels.dtype}, expected numbers'
        )
    values = (pixels.shape, pixels.dtype.str, record.facts)
    text = repr(values)
    try:
        plain = ast.literal_eval(text) == values
    except (ValueError, SyntaxError):
        plain = False
    if not plain:
        raise ConfigError(
            f'cache_images: what is loaded of {record.name} besides the pixels cannot '
            f'be kept: {record.facts}'
        )
    return text.encode()


@lru_cache(maxsize=1024)  # most images of a data set have the same
def _parse_head(head: bytes) -> tuple:
    return ast.literal_eval(head.decode())
