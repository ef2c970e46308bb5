"""What identifies the images of a data set as they lie on disk."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ff_mm.datasets.checks.check import root_of
from ff_mm.datasets.checks.truth import data_infos, files_of, hash_pixels
from ff_mm.datasets.errors import DatasetError
from ff_mm.files import atomic_write, sha256

# Bytes and files of a set that are read: seconds, also where a server is asked. Of
# others a size and a time are known, which cost one question each.
READ_BYTES = 1 << 29
READ_FILES = 5000
# Servers like more than one question at a time; Python's lock is free meanwhile.
_READERS = 16
_AT_ONCE = 256

T = TypeVar('T')
R = TypeVar('R')


class OnDisk(NamedTuple):
    """One image file, or one image of an array.

    Attributes:
        file: Path below ``data_root``, or the id of an image that lies in an array.
        size: Bytes; -1 where there is no such file.
        time: Of its last change, in nanoseconds; 0 in an array.
        content: 32 digits of the SHA-256 of its content; empty if it was not read.
    """

    file: str
    size: int
    time: int
    content: str

    @property
    def mark(self) -> str:
        """What tells it from another image of this name: its time only if it must."""
        return f'{self.size} {self.content or self.time}'


def images_on_disk(dataset: Any) -> list[OnDisk]:
    """Looks at every image of a data set, and at the files of its truth: masks.

    The content is read of all images, if they have no more than half a GiB together;
    else of as many, evenly spread, and the others are known by size and time. So a copy
    of a small set is the same as the set, whatever its times are.

    Args:
        dataset: Any data set, or a wrapper of one.

    Returns:
        One entry a file, sorted, each once.
    """
    infos = list(data_infos(dataset))
    paths = dict.fromkeys(path for info in infos for path in files_of(info))
    root = root_of(dataset, infos)
    arrays = [(i, info['img']) for i, info in enumerate(infos) if 'img' in info]
    pixels = [(str(infos[i].get('image_id') or i), each) for i, each in arrays]
    return sorted(_of_files(list(paths), root)) + _of_arrays(pixels)


def images_identity(dataset: Any) -> str:
    """Gives 32 hexadecimal digits that differ if any image of a data set does.

    Args:
        dataset: As :func:`images_on_disk` takes it.
    """
    images = images_on_disk(dataset)
    lines = '\n'.join(f'{each.file}\t{each.mark}' for each in images)
    return hashlib.sha256(lines.encode(errors='surrogateescape')).hexdigest()[:32]


def differences(before: Sequence[OnDisk], now: Sequence[OnDisk]) -> list[str]:
    """Names the images that are others than they were.

    Who copies a set gives all files another time; who replaces some of them does not.
    So where all times are others, those of files that were not read do not count.

    Args:
        before: Images.
        now: The same images, or others, later.
    """
    was = {each.file: each for each in before}
    pairs = [(was.get(each.file), each) for each in now]
    copied = all(old is None or old.time != new.time for old, new in pairs)
    gone = was.keys() - {each.file for each in now}
    other = (new.file for old, new in pairs if not _same(old, new, copied))
    return sorted({*gone, *other})


def _same(before: OnDisk | None, now: OnDisk, copied: bool) -> bool:
    if before is None:
        return False
    is_copy = copied and not before.content and not now.content
    return before.mark == now.mark or (is_copy and before.size == now.size)


_COLUMNS = ['split', *OnDisk._fields]


def keep_images_file(path: Path, datasets: Mapping[str, Any]) -> bool:
    """Writes down the images of a run, or checks that they are those of its beginning.

    A plan that goes on after images were replaced in place would otherwise mix
    ingredients of two data sets.

    Args:
        path: The csv file beside the run.
        datasets: Name of the split -> data set, fully initialised.

    Returns:
        Whether there was such a file.

    Raises:
        DatasetError: The images are others, or the file cannot be read.
    """
    now = {name: images_on_disk(dataset) for name, dataset in datasets.items()}
    if not path.exists():
        with atomic_write(path, 'w') as file:
            file.write(_to_csv(now))
        return False
    before = _read_csv(path)
    for name, images in now.items():
        other = differences(before.get(name, []), images)
        if other:
            raise DatasetError(
                f'{path}: {len(other)} of {len(images)} images of {name} are not those '
                f'with which this run began, such as {other[0]!r}: restore them, or '
                'use a new --work-dir'
            )
    return True


def _to_csv(images: Mapping[str, Sequence[OnDisk]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(_COLUMNS)
    for name, of_set in images.items():
        writer.writerows([name, *image] for image in of_set)
    return text.getvalue()


def _read_csv(path: Path) -> dict[str, list[OnDisk]]:
    found: dict[str, list[OnDisk]] = {}
    try:
        with open(path, encoding='utf-8', newline='') as file:
            columns, *rows = list(csv.reader(file, strict=True)) or [[]]
        if columns != _COLUMNS:
            raise ValueError(f'expected the columns {_COLUMNS}')
        for split, name, size, time, content in rows:
            image = OnDisk(name, int(size), int(time), content)
            found.setdefault(split, []).append(image)
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(
            f'{path}: cannot be read ({error}), so nobody knows whether this run began '
            'with these images; restore it, or use a new --work-dir'
        ) from error
    return found


def _of_files(paths: list[str], root: str) -> list[OnDisk]:
    found = _in_threads(_look, paths)
    order = sorted(range(len(paths)), key=paths.__getitem__)
    read = {order[i] for i in _spread([found[i][0] for i in order])}
    chosen = [i for i in sorted(read) if found[i][0] >= 0]
    contents = dict(
        zip(chosen, _in_threads(_content, [paths[i] for i in chosen]), strict=True)
    )
    return [
        OnDisk(_below(path, root), size, time, contents.get(i) or '')
        for i, (path, (size, time)) in enumerate(zip(paths, found, strict=True))
    ]


def _of_arrays(images: Sequence[tuple[str, np.ndarray]]) -> list[OnDisk]:
    read = _spread([pixels.nbytes for _, pixels in images])
    return [
        OnDisk(name, pixels.nbytes, 0, hash_pixels(pixels)[:32] if i in read else '')
        for i, (name, pixels) in enumerate(images)
    ]


def _spread(sizes: Sequence[int]) -> set[int]:
    """Chooses what is read: all, or evenly as many as there may be."""
    total = sum(max(size, 0) for size in sizes)
    share = min(1.0, READ_BYTES / max(total, 1), READ_FILES / max(len(sizes), 1))
    number = max(int(len(sizes) * share), min(len(sizes), 1))
    return set(np.linspace(0, len(sizes) - 1, number).astype(int).tolist())


def _look(path: str) -> tuple[int, int]:
    """Gives size and time of a file; -1 for what is no file and cannot be read."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, 0
    size = found.st_size if stat.S_ISREG(found.st_mode) else -1
    return size, found.st_mtime_ns


def _content(path: str) -> str | None:
    try:
        return sha256(path)[:32]
    except OSError:  # training says so, if it is to be read
        return None


def _below(path: str, root: str) -> str:
    folder, name = os.path.split(path)
    return f'{_folder_below(folder, root)}{name}'


@lru_cache(maxsize=1024)  # of few folders are many files
def _folder_below(folder: str, root: str) -> str:
    below = os.path.relpath(folder or os.curdir, root or os.curdir)
    return '' if below == os.curdir else f'{PurePath(below).as_posix()}/'


def _in_threads(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Does something with each item, in order; many at a time are one task."""
    tasks = [items[i : i + _AT_ONCE] for i in range(0, len(items), _AT_ONCE)]
    with ThreadPoolExecutor(min(_READERS, len(tasks)) or 1) as pool:
        done = pool.map(lambda task: [work(each) for each in task], tasks)
        return [each for results in done for each in results]
