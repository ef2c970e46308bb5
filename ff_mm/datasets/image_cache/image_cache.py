"""The cache of a run's images: made before training, used by all, then removed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import PIL
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmpretrain.registry import TRANSFORMS
from rich.console import Console

from ff_mm.config import read_options
from ff_mm.cores import allowed_cores
from ff_mm.datasets.checks.check import inner_datasets
from ff_mm.datasets.checks.truth import data_infos
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.files.dicom import USE_LOAD_DICOM, needs_load_dicom
from ff_mm.datasets.files.image_paths import file_cut_short, first_line
from ff_mm.datasets.files.workers import track
from ff_mm.datasets.folds import is_cut
from ff_mm.datasets.image_cache.folder import make_own_folder, remove_own_files
from ff_mm.datasets.image_cache.store import Record, RecordFile, write_records
from ff_mm.datasets.image_cache.transforms import (
    fixed_steps,
    make_record,
    name_of,
    run_steps,
)
from ff_mm.display.console import duration, say
from ff_mm.environment import installed
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.memory import memory_of_machine
from ff_mm.parallel.claim import Claim

_FORMAT = 1
# Images from which the size of all is estimated.
_SAMPLE = 64

Outcome = Record | str | None


@dataclass(frozen=True)
class CacheOptions:
    """How images are cached.

    Attributes:
        short_side: To which training images are shrunk once, in pixels; smaller ones
            stay as they are. None: at the size that they have.
        dir: Folder in which the cache is made, such as a faster disk. None: the work
            directory.

    Raises:
        ConfigError: A value that is none of these.
    """

    short_side: int | None = None
    dir: str | None = None

    def __post_init__(self) -> None:
        side = self.short_side
        if side is not None and (type(side) is not int or side < 1):
            raise ConfigError(
                f'cache_images.short_side={side!r}: expected a number of pixels'
            )
        if self.dir is not None and not isinstance(self.dir, str):
            raise ConfigError(f'cache_images.dir={self.dir!r}: expected a folder')


_FOLDER = 'image_cache'
_LOADERS = ('train', 'val')
# Part of what is free that may be taken: the run writes checkpoints, too, and memory
# holds more than images.
_SHARE = 0.9
# Images that are worth a process of their own.
_A_PROCESS = 64
# Bytes that a process hands over at a time; what is in flight is in memory.
_HANDED_OVER = 16e6


@dataclass
class Part:
    """A part of a cache.

    Attributes:
        steps: Configs of the steps; the first loads an image.
        paths: Of the images, each once.
    """

    steps: list[Mapping[str, Any]]
    paths: dict[str, None] = field(default_factory=dict)

    @property
    def decode(self) -> Callable[[str], Outcome]:
        """A function that makes of a path what is kept of the image.

        It returns why an image cannot be read, None for one that the steps leave out,
        and raises what the steps after the first raise: that is not the image's fault.
        """
        steps = [TRANSFORMS.build(step) for step in self.steps]
        return partial(_decode, steps=steps)

    @cached_property
    def average_size(self) -> float:
        """Bytes of an image, estimated from some of them, all along the data set."""
        paths, decode = list(self.paths), self.decode
        chosen = np.linspace(0, len(paths) - 1, min(_SAMPLE, len(paths))).astype(int)
        outcomes = [decode(paths[index]) for index in chosen]
        sizes = [each.pixels.nbytes for each in outcomes if isinstance(each, Record)]
        return float(np.mean(sizes)) if sizes else 0.0

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ if anything does that makes the pixels.

        These are the steps, the versions of what decodes, and paths, sizes and times of
        the files.
        """
        versions = [cv2.__version__, mmcv.__version__, PIL.__version__]
        head = [_FORMAT, *versions, installed('pydicom'), name_of(self.steps)]
        digest = hashlib.sha256(json.dumps(head).encode())
        for path in self.paths:
            line = f'{os.path.abspath(path)}\t{_state(path)}\n'
            digest.update(line.encode(errors='surrogateescape'))
        return digest.hexdigest()[:16]


def _decode(path: str, steps: Sequence[BaseTransform]) -> Outcome:
    load, *others = steps
    # Whatever a loader raises, training would stumble over it, too.
    try:
        results = load(dict(img_path=path))
    except Exception as error:
        if not isinstance(error, FFMMError) and needs_load_dicom(path):
            return f'{path}: {USE_LOAD_DICOM}'
        reason = first_line(error)
        return reason if path in reason else f'{path}: {reason}'
    if wrong := file_cut_short(path):
        return f'{path}: {wrong}'
    if results is not None:
        results = run_steps(others, results)
    return None if results is None else make_record(path, results)


def _state(path: str) -> tuple[int, int] | None:
    """Gives size and time of a file, None where there are no such things."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class ImageCache:
    """Decodes every image of train and val once, for all trials and data workers.

    What a pipeline does with an image before chance comes in is done once: loading,
    and resizing where that comes right after it, as in validation. The pixels lie in
    files that are mapped into memory, which all processes of a machine share, and which
    the system drops from memory and reads again as it sees fit. Training is bit for bit
    what it is without the cache. Images that lie in arrays are not touched.

    With ``short_side`` training images are shrunk on the way, see
    :class:`ff_mm.datasets.image_cache.transforms.ShrinkImage`, as if that step stood
    in the pipeline. Validation images are not, so that its metrics mean the same.

    Args:
        option: The key ``cache_images`` of a config: True, or a dict of
            :class:`CacheOptions`. False, None or an empty dict: nothing is cached. (An
            empty dict is what ``cache_images.short_side=256`` can be merged into.)
        work_dir: Of the run.
        console: Where to say what is done.

    Raises:
        ConfigError: The option is none.
    """

    def __init__(self, option: Any, work_dir: str | Path, console: Console) -> None:
        self.is_on = bool(option)
        values = None if option is True else option or None
        self.options = read_options(CacheOptions, values, 'cache_images')
        self.console = console
        self.folder = self._in_work_dir = Path(work_dir) / _FOLDER
        if self.options.dir:
            # Runs that share a disk must not remove each other's.
            run = hashlib.sha256(str(Path(work_dir).resolve()).encode()).hexdigest()
            parent = Path(os.path.expanduser(self.options.dir))
            self.folder = parent / f'{_FOLDER}_{run[:8]}'
        self._claim = Claim(self.folder.parent, f'.{self.folder.name}')
        self._files: dict[str, str] = {}

    def fill(
        self, datasets: Mapping[str, BaseDataset], configs: Iterable[Config]
    ) -> dict[str, str]:
        """Decodes the images, or finds those of an earlier run of the same images.

        Of several processes that call it for one folder one does it, and the others
        wait and find what it has made.

        Args:
            datasets: ``train`` and ``val``, as the generation's config has them.
            configs: Those of all trials, resolved.

        Returns:
            The files, for :meth:`find`.

        Raises:
            DatasetError: Images that cannot be read, all of them; or there is no room.
            ConfigError: Images that cannot be cached, or not be shrunk.
        """
        if self.is_on:
            self._files = self._fill(self._parts(datasets, configs))
        return self._files

    def find(self, files: Mapping[str, str]) -> bool:
        """Takes over what another process has made; tells whether it is here, too.

        Args:
            files: What that process's :meth:`fill` has returned.
        """
        self._files = dict(files)
        return all(Path(file).exists() for file in files.values())

    def use_in(self, cfg: Config) -> None:
        """Lets the data sets of a trial take their images out of the cache.

        Args:
            cfg: The trial's config, resolved; changed in place.
        """
        if not self.is_on:
            return
        for name in _LOADERS:
            for dataset in inner_datasets(cfg[f'{name}_dataloader'].dataset):
                steps, others = self._cut(name, dataset.get('pipeline', []))
                file = self._files.get(name_of(steps))
                if file is not None:
                    steps = [dict(type='LoadCachedImage', steps=steps, cache=file)]
                if steps:
                    dataset.pipeline = [*steps, *others]

    def remove(self) -> None:
        """Removes the cache of this run, also one that is no longer asked for."""
        for folder in {self._in_work_dir, self.folder}:
            remove_own_files(folder)
            with suppress(OSError):  # it may be absent, or hold what is not ours
                folder.rmdir()
        self._claim.remove()

    def _cut(self, name: str, pipeline: Sequence[dict]) -> tuple[list, list]:
        """Cuts a pipeline into the steps that the cache stands for and the others."""
        steps = fixed_steps(pipeline)
        others = list(pipeline[len(steps) :])
        if steps and name == 'train' and self.options.short_side:
            shrink = dict(type='ShrinkImage', short_side=self.options.short_side)
            steps.insert(1, shrink)
        return steps, others

    def _parts(
        self, datasets: Mapping[str, BaseDataset], configs: Iterable[Config]
    ) -> dict[str, Part]:
        """Gives what is to be cached, by the name of the steps."""
        images = {
            name: [_paths(each) for each in inner_datasets(datasets[name])]
            for name in _LOADERS
        }
        # Folds are of the data sets of both loaders, one after the other.
        of_all = [paths for name in _LOADERS for paths in images[name]]
        parts: dict[str, Part] = {}
        for cfg in configs:
            for name in _LOADERS:
                config = cfg[f'{name}_dataloader'].dataset
                known = of_all if is_cut(config) else images[name]
                # A stage may have other data; what is not cached is loaded as ever.
                for dataset, paths in zip(inner_datasets(config), known, strict=False):
                    steps, _ = self._cut(name, dataset.get('pipeline', []))
                    if steps and paths:
                        part = parts.setdefault(name_of(steps), Part(steps))
                        part.paths.update(paths)
        return parts

    def _fill(self, parts: dict[str, Part]) -> dict[str, str]:
        """Makes what is not there yet; gives the files by the name of the steps."""
        if not parts:
            say(
                'cache_images: no images of train and val are loaded from files by the '
                'first step of their pipeline, so there is nothing to cache',
                self.console,
            )
            return {}
        began = time.perf_counter()
        try:
            with self._claim.held():
                files, made = self._make(parts)
        except OSError as error:
            raise DatasetError(
                f'{self.folder}: images cannot be cached there: '
                f'{error.strerror or error}. {_remedy("another disk")}'
            ) from error
        seconds = duration(time.perf_counter() - began)
        self._say_what(parts, files, f'{"made" if made else "found"} in {seconds}')
        return {name: str(file) for name, file in files.items()}

    def _make(self, parts: dict[str, Part]) -> tuple[dict[str, Path], bool]:
        make_own_folder(self.folder, private=bool(self.options.dir))
        files = {n: self.folder / f'{p.fingerprint}.npy' for n, p in parts.items()}
        absent = {n: f for n, f in files.items() if RecordFile(f).size is None}
        # Caches of other images, and what a killed run has left.
        kept = {f.stem for n, f in files.items() if n not in absent}
        remove_own_files(self.folder, kept)
        self._check_space([parts[name] for name in absent])
        for name, file in absent.items():
            write_records(file, self._records(parts[name]))
        return files, bool(absent)

    def _check_space(self, parts: list[Part]) -> None:
        needed = sum(len(part.paths) * part.average_size for part in parts)
        free = shutil.disk_usage(self.folder).free
        if needed > _SHARE * free:
            count = sum(len(part.paths) for part in parts)
            raise DatasetError(
                f'{self.folder}: {count} images take about {_shown(needed)}, but only '
                f'{_shown(free)} are free there. {_remedy("a larger disk")}'
            )

    def _records(self, part: Part) -> Iterator[Record]:
        """Decodes images; which of them cannot be read, it says after the last one."""
        unreadable = []
        total = len(part.paths)
        outcomes = track(
            part.decode,
            part.paths,
            total,
            min(allowed_cores(), total // _A_PROCESS),
            'decoding images',
            self.console,
            batch=int(_HANDED_OVER / (part.average_size + 1)),
        )
        for outcome in outcomes:
            if isinstance(outcome, Record):
                yield outcome
            elif outcome is not None:
                unreadable.append(outcome)
        problems = Problems('cache_images')
        problems.found(
            'images that cannot be read',
            unreadable,
            'Download them again, or leave the rows out of the table.',
        )
        problems.raise_if_any()

    def _say_what(
        self, parts: Mapping[str, Part], files: Mapping[str, Path], how: str
    ) -> None:
        size = sum(RecordFile(file).size or 0 for file in files.values())
        count = sum(len(part.paths) for part in parts.values())
        side = self.options.short_side
        shrunk = f', those of train shrunk to {side} pixels' if side else ''
        text = f'{count} images{shrunk}, {_shown(size)} in {self.folder}, {how}'
        say(f'cache_images: {text}', self.console)
        memory = memory_of_machine()
        if size > _SHARE * memory:
            say(
                f'note: with {_shown(memory)} of memory every epoch reads images '
                f'from disk. {_remedy("a fast disk")}',
                self.console,
            )


def _paths(dataset: BaseDataset) -> dict[str, None]:
    paths = (info.get('img_path') for info in data_infos(dataset))
    return dict.fromkeys(path for path in paths if path)


def _remedy(place: str) -> str:
    return (
        'Give cache_images.short_side, to which training images are shrunk, or '
        f'cache_images.dir on {place}, or do without cache_images'
    )


def _shown(size: float) -> str:
    return f'{size / 1e6:,.0f} MB'
