"""Arrays of an npz file, of which a large one is mapped from disk."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.image_paths import first_line
from ff_mm.display.console import log
from ff_mm.files import atomic_write

#: Arrays of more bytes than this are unpacked once and mapped, not kept in memory.
LARGE = 1 << 29


def read_array(path: str, name: str, cache_dir: str | None = None) -> np.ndarray:
    """Gives one array of an npz file; the others are not decompressed.

    A small array is read into memory, once a process: do not write to it. A large one
    is unpacked to a file of its own the first time, which takes as much space on disk
    as the array would in memory, and then mapped: all processes of a machine share the
    pages of it that they use, and the system gives them up when memory is short.

    Args:
        path: The npz file.
        name: Of the array.
        cache_dir: The folder for large arrays; that of the npz file by default.

    Raises:
        DatasetError: There is no such array, the file is damaged or holds pickled
            objects, or a large array cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if f'{name}.npy' not in members:
                raise DatasetError(
                    f'{path!r} has no array {name!r} in it, only {sorted(members)}.'
                )
            member = members[f'{name}.npy']
            if member.file_size <= LARGE:
                return _read(path, member.filename, os.stat(path).st_mtime_ns)
            file = _unpack(archive, path, member, cache_dir)
        # A plain array, as slicing a memmap is slow.
        return np.asarray(np.load(file, mmap_mode='r', allow_pickle=False))
    except DatasetError:
        raise
    # NumPy raises whatever a damaged header makes it stumble over.
    except Exception as error:
        raise DatasetError(
            f'{path!r} cannot be read: {first_line(error)[:160]}. Download it anew.'
        ) from error


# A run builds its data sets several times.
@lru_cache(maxsize=8)
def _read(path: str, member: str, _: int) -> np.ndarray:
    """Reads an array; the time of the last change of the file is for the cache."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _unpack(
    archive: zipfile.ZipFile, path: str, member: zipfile.ZipInfo, cache_dir: str | None
) -> Path:
    """Unpacks an array, if that was not done before, and gives its file."""
    stem = f'{Path(path).stem}_{Path(member.filename).stem}'
    # The checksum tells it from an array of another version of the npz file.
    target = Path(cache_dir or Path(path).parent) / f'{stem}_{member.CRC:08x}.npy'
    if target.is_file():
        return target
    gigabytes = f'{member.file_size / 1e9:.1f} GB'
    log(
        f'{path}: unpacking {member.filename}, {gigabytes}, once, to {target}',
        logging.INFO,
    )
    try:
        with archive.open(member) as source, atomic_write(target) as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except OSError as error:
        raise DatasetError(
            f'{target}: {gigabytes} cannot be unpacked: {error}. Set cache_dir to a '
            'folder that can be written to and has the space.'
        ) from error
    return target
