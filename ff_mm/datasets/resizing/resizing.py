"""A copy of a data set whose images are no larger than training needs."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from rich.console import Console

from ff_mm.datasets.checks.check import RENAME
from ff_mm.datasets.errors import DatasetError, Problems, check_choice, repeated
from ff_mm.datasets.files.deep_images import FULL, check_bits
from ff_mm.datasets.files.dicom import is_dicom, require_pydicom
from ff_mm.datasets.files.finding import IMAGE_EXTENSIONS, is_image, is_ours
from ff_mm.datasets.files.workers import track
from ff_mm.datasets.resizing.shrinking import decode, encode, keeps_16_bits, shrink
from ff_mm.files import (
    NotRegularError,
    check_own_folder,
    open_regular,
    read_json,
    write_json,
)
from ff_mm.plain import not_utf8

#: In the copy: how it was made, and which images could not be read.
MANIFEST = 'resized.json'

# Downloads that were unpacked beside themselves, also in parts (train.zip.001).
_ARCHIVE = re.compile(r'\.(zip|rar|7z|tar|tgz|tar\.\w+)(\.\d+)?$', re.IGNORECASE)

# File systems keep times to 2 seconds or better.
_SAME_TIME = 2


@dataclass(frozen=True)
class ResizeOptions:
    """How images are made smaller.

    Attributes:
        short_side: Of the result, in pixels. Smaller images are not enlarged.
        format: ``'jpg'``, ``'png'``, or ``'keep'`` for that of the source, where DICOM
            becomes PNG.
        quality: Of JPEG and WebP, from 1 to 100.
        bits: That images of 16 bits use, from 1 to 16. PNG and TIFF keep their values;
            elsewhere those from 0 to ``2**bits - 1`` become 0 to 255.

    Raises:
        ValueError: A value that is none of these.
    """

    short_side: int
    format: str = 'keep'
    quality: int = 95
    bits: int = FULL

    def __post_init__(self) -> None:
        if self.short_side < 1:
            raise ValueError(f'short_side must be at least 1, got {self.short_side}')
        check_choice('format', self.format, ('keep', 'jpg', 'png'))
        if not 1 <= self.quality <= 100:
            raise ValueError(f'quality must be from 1 to 100, got {self.quality}')
        check_bits(self.bits)

    def target_of(self, name: str) -> str:
        """Gives the name under which an image is written."""
        stem, extension = os.path.splitext(name)
        if self.format == 'keep':
            return f'{stem}.png' if is_dicom(name) else name
        same = {'.jpg', '.jpeg'} if self.format == 'jpg' else {'.png'}
        # a.JPEG is a JPEG already: tables go on naming it.
        return name if extension.lower() in same else f'{stem}.{self.format}'


class Outcome(NamedTuple):
    """What became of one image.

    Attributes:
        name: Relative to the source.
        state: ``'resized'``, ``'copied'`` (it was small enough), ``'done'`` (by an
            earlier run) or ``'unreadable'``.
        reason: Why it cannot be read.
        size: Bytes of the source and of the result.
        peak: The largest value of 16 bits that became 8, 0 of others.
    """

    name: str
    state: str
    reason: str = ''
    size: tuple[int, int] = (0, 0)
    peak: int = 0


@dataclass
class ResizeReport:
    """What became of a data set.

    Attributes:
        states: Number of images by the state of their :class:`Outcome`.
        unreadable: Name -> reason.
        renamed: Old extension -> new one, where they differ.
        other_files: Number of files copied.
        left_out: Other files that are not copied: name -> reason.
        archives: Names of archives, which were left out.
        size: Bytes of all images before and after.
        peak: The largest value of 16 bits that became 8, 0 if there was none.
        bits: Those of the options.
    """

    states: Counter = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    other_files: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    archives: list[str] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    peak: int = 0
    bits: int = FULL

    def add(self, outcome: Outcome) -> None:
        """Counts an image."""
        self.states[outcome.state] += 1
        if outcome.state == 'unreadable':
            self.unreadable[outcome.name] = outcome.reason
        self.peak = max(self.peak, outcome.peak)
        before, after = outcome.size
        self.size = (self.size[0] + before, self.size[1] + after)


def resize_dataset(
    source: str | Path,
    target: str | Path,
    options: ResizeOptions,
    workers: int = 1,
    overwrite: bool = False,
    console: Console | None = None,
) -> ResizeReport:
    """Writes a copy of a folder in which no image is larger than needed.

    The tree and the names stay, so that the data set's class reads the copy as it reads
    the source; extensions change only where the format does. Images are turned as their
    EXIF tag says and lose it, and what MMCV does not look at: an alpha channel, a
    palette, all metadata. Grey images stay grey and 16 bits stay 16 bits, except in
    JPEG. Images that are small enough already, in the right format, are copied as they
    are. All other files are copied, too, except hidden ones and archives, and except
    what is no file of the set: pipes, devices, links that lead out of the folder, by
    which a stranger's set would get a copy of files of yours.

    Files are whole or not there. Images of an earlier run are kept, if they are as old
    as their source; so an interrupted run goes on where it was.

    Args:
        source: The folder. Links in it are followed to images, and within it.
        target: The copy; may be absent, empty, or the copy of an earlier run.
        options: The same in each run.
        workers: Number of processes.
        overwrite: Whether to write everything anew, as with another ``short_side``.
        console: Where to show the progress; standard output by default.

    Returns:
        What became of the images. It is in ``target/resized.json``, too.

    Raises:
        DatasetError: There is nothing to resize; the folders lie in each other; the
            target holds something else; two images would get one name; a file cannot
            be written. Images that cannot be read raise nothing.
        NotRegularError: The target is a file, or folders in it are links out of it.
    """
    source, target = Path(source), Path(target)
    _check_folders(source, target)
    check_own_folder(target)
    files = _list_files(source, target)
    _check_names(source, files, options)
    _check_earlier_run(source, target, options, overwrite)
    if overwrite:
        # Before the manifest says that what is there was made with these options.
        for name in files.images:
            (target / options.target_of(name)).unlink(missing_ok=True)
    _write_manifest(source, target, options, complete=False)
    for name in files.others:
        _copy(source / name, target / name)
    report = ResizeReport(
        renamed=_renamed(files, options),
        other_files=len(files.others),
        left_out=files.left_out,
        archives=files.archives,
        bits=options.bits,
    )
    resize = partial(_resize, source=source, target=target, options=options)
    title, total = f'resizing to {options.short_side} pixels', len(files.images)
    for outcome in track(resize, files.images, total, workers, title, console):
        report.add(outcome)
    missing = dict(unreadable=report.unreadable, left_out=report.left_out)
    _write_manifest(source, target, options, complete=True, **missing)
    return report


class _Files(NamedTuple):
    """What a folder holds; names relative to it."""

    images: list[str]
    others: list[str]
    archives: list[str]
    left_out: dict[str, str]


def _check_folders(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise DatasetError(f'{source}: no such folder')
    real, copy = source.resolve(), target.resolve()
    if real == copy or real in copy.parents or copy in real.parents:
        raise DatasetError(
            f'{target}: the copy must not be, hold or lie in its source {source}'
        )
    if target.exists() and not target.is_dir():
        raise DatasetError(f'{target}: it is a file, expected a folder')


def _list_files(source: Path, target: Path) -> _Files:
    files, real = _Files([], [], [], {}), source.resolve()
    for name in _walk(source, '', {target.resolve()}):
        if is_image(name):
            files.images.append(name)
        elif _ARCHIVE.search(name):
            files.archives.append(name)
        elif reason := _foreign(source / name, real):
            files.left_out[name] = reason
        elif name != MANIFEST:
            files.others.append(name)
    if not files.images:
        raise DatasetError(
            f'{source}: there is no image ({", ".join(IMAGE_EXTENSIONS)}) in it'
        )
    if any(map(is_dicom, files.images)):
        require_pydicom(str(source))  # once, and not for each image
    return files


def _foreign(path: Path, source: Path) -> str | None:
    """Says why a file is none of the set's own, if it is not."""
    if path.exists() and not path.is_file():
        return 'is no regular file'
    if not Path(os.path.realpath(path)).is_relative_to(source):
        return 'is a link that leads out of the folder'
    return None


def _walk(folder: Path, prefix: str, above: set[Path]) -> Iterator[str]:
    """Gives all files that are somebody's, through links, but not in circles."""
    real = folder.resolve()
    if real in above:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = prefix + entry.name
        if not is_ours(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, f'{name}/', {*above, real})
        else:
            yield name


def _check_names(source: Path, files: _Files, options: ResizeOptions) -> None:
    problems = Problems(f'resizing {str(source)!r}')
    targets = [options.target_of(name) for name in files.images]
    problems.found(
        f'files that several images would become with format {options.format!r}',
        repeated([*targets, *files.others]),
        'Rename one of them, or choose another format.',
    )
    problems.found('images whose names are not UTF-8', not_utf8(files.images), RENAME)
    problems.raise_if_any()


def _renamed(files: _Files, options: ResizeOptions) -> dict[str, str]:
    pairs = ((name, options.target_of(name)) for name in files.images)
    return {Path(a).suffix: Path(b).suffix for a, b in pairs if a != b}


def _check_earlier_run(
    source: Path, target: Path, options: ResizeOptions, overwrite: bool
) -> None:
    """Refuses a target that was made otherwise, or not by this function."""
    manifest = target / MANIFEST
    if not manifest.is_file():
        if target.is_dir() and any(p.name[0] != '.' for p in target.iterdir()):
            raise DatasetError(
                f'{target}: there is something in it, but no {MANIFEST}: give a new or '
                'an empty folder'
            )
        return
    expected = _describe(source, options)
    earlier = _read_manifest(manifest)
    differing = [key for key, value in expected.items() if earlier.get(key) != value]
    # In another format files have other names and would lie beside the old ones.
    if 'format' in differing or (differing and not overwrite):
        listed = ', '.join(f'{k} {earlier.get(k)} -> {expected[k]}' for k in differing)
        remedy = '' if 'format' in differing else ', or --overwrite'
        raise DatasetError(
            f'{target} was made in another way ({listed}): give another folder{remedy}'
        )


def _describe(source: Path, options: ResizeOptions) -> dict[str, Any]:
    return dict(source=str(source.resolve()), **asdict(options))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        # Copies made before there were bits have used all.
        return dict(bits=FULL) | read_json(path)['made_with']
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DatasetError(
            f'{path} is damaged ({error}): give another folder'
        ) from None


def _write_manifest(
    source: Path, target: Path, options: ResizeOptions, **result: Any
) -> None:
    content = dict(format=1, made_with=_describe(source, options), **result)
    try:
        write_json(content, target / MANIFEST)
    except OSError as error:
        raise DatasetError(f'{target}: cannot be written: {error.strerror}') from error


def _copy(source: Path, target: Path) -> None:
    try:
        file = open_regular(source)
    except OSError as error:
        raise DatasetError(f'{source}: cannot be read: {error.strerror}') from error
    with file:
        _write(target, file, os.fstat(file.fileno()))


def _resize(name: str, source: Path, target: Path, options: ResizeOptions) -> Outcome:
    path, result = source / name, target / options.target_of(name)
    try:
        known = path.stat()
        if _is_done(result, known):
            return Outcome(name, 'done', '', (known.st_size, result.stat().st_size))
        with open_regular(path) as file:
            content = file.read()
        image = decode(content, name, options.short_side)
    except OSError as error:
        return Outcome(name, 'unreadable', error.strerror or str(error))
    except NotRegularError as error:
        return Outcome(name, 'unreadable', str(error).removeprefix(f'{path}: '))
    except DatasetError as error:
        return Outcome(name, 'unreadable', str(error).removeprefix(f'{name}: '))
    state, encoded, top = 'copied', content, 0
    if min(image.size) > options.short_side or result.name != path.name:
        small, kind = shrink(image, options.short_side), result.suffix
        state, encoded = 'resized', encode(small, kind, options.quality, options.bits)
        if image.mode == 'I' and not keeps_16_bits(kind):
            top = int(np.asarray(image).max())
    _write(result, io.BytesIO(encoded), known)
    return Outcome(name, state, '', (len(content), len(encoded)), top)


def _is_done(target: Path, source: os.stat_result) -> bool:
    """Tells whether an image is there that was made of the source as it is."""
    with suppress(FileNotFoundError):
        made = target.stat()
        return made.st_size > 0 and abs(made.st_mtime - source.st_mtime) < _SAME_TIME
    return False


def _write(target: Path, content: IO[bytes], source: os.stat_result) -> None:
    """Writes a file that is whole, and as old as its source, once it has its name.

    Unlike :func:`ff_mm.files.atomic_write` it does not wait for the disk, which for
    small images takes five times as long as all the rest. After a power cut the last
    files may be empty; those are not taken for done.
    """
    part = target.with_name(f'.{target.name}.{secrets.token_hex(8)}.part')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(part, 'xb') as file:
            shutil.copyfileobj(content, file)
        os.utime(part, ns=(source.st_atime_ns, source.st_mtime_ns))
        os.replace(part, target)
    except OSError as error:
        raise DatasetError(f'{target}: cannot be written: {error.strerror}') from error
    finally:
        part.unlink(missing_ok=True)
