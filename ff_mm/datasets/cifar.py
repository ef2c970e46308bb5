"""CIFAR10 and CIFAR100: natural images of 32 x 32 pixels, with a validation set."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

from ff_mm.datasets.array_dataset import ArrayDataset
from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import DatasetError, Problems, check_choice
from ff_mm.datasets.files.finding import download, find_file
from ff_mm.datasets.files.image_paths import first_line
from ff_mm.datasets.files.plain_pickle import read_plain_pickle

HOMEPAGE = 'https://www.cs.toronto.edu/~kriz/cifar.html'


@DATASETS.register_module()
class SplitCIFAR10(ArrayDataset):
    """CIFAR10 with a validation set: 60,000 colour images, 32 x 32, in ten classes.

    MMPretrain's ``CIFAR10`` has train and test only, and soups are selected on val.
    Here the official training set is cut 9:1, seeded and stratified, as in the paper,
    into 45,000 and 5,000 images; test is the official one, 10,000 images.

    Read is the version for Python, ``cifar-10-batches-py`` with its ``data_batch_1`` to
    ``data_batch_5`` and ``test_batch``: the folder itself, or below ``data_root``, or
    ``cifar-10-python.tar.gz`` as downloaded, which takes longer. These files are
    pickles; they are read as data, so that no code in them can run.

    The files hold RGB. ``img`` is BGR, uint8 (32, 32, 3), as of any data set here, so a
    config says ``to_rgb=True``. (MMPretrain's own class leaves RGB as it is.) The image
    ids are ``train_00000`` to ``train_49999``, ``test_00000`` to ``test_09999``, in the
    order of the files. The classes are those of MMPretrain's ``CIFAR10``.

    Args:
        download: Whether to download what is missing into ``data_root``, by
            MMPretrain, which checks the MD5.
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`ArrayDataset` and :class:`SplitDataset`.

    References:
        A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
        technical report, University of Toronto (2009).
    """

    METAINFO = CIFAR10.METAINFO
    SHARES = (9, 1, 0)

    #: MMPretrain's class, which knows the names of the files and where to get them.
    SOURCE: ClassVar[type[CIFAR10]] = CIFAR10

    def __init__(
        self, data_root: str, *args: Any, download: bool = False, **kwargs: Any
    ) -> None:
        self.download = download
        super().__init__(data_root, *args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the official training set, or the test set, or both."""
        self.place = self._find()
        cases = []
        parts = ['test' if split == 'test' else 'train' for split in self.needed_splits]
        for part in dict.fromkeys(parts):
            _, labels = self._read_part(part)
            split = 'test' if part == 'test' else 'trainval'
            cases += self.make_cases(part, labels, split)
        return cases

    def read_images(self, array: str) -> np.ndarray:
        """Reads the images of ``'train'`` or ``'test'``, (number, 32, 32, 3), RGB."""
        return self._read_part(array)[0]

    def _read_part(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Reads images and labels of the official training or test set."""
        files = self.SOURCE.test_list if part == 'test' else self.SOURCE.train_list
        return _read_batches(self.place, tuple(name for name, _ in files))

    def _find(self) -> str:
        """Gives the folder with the batches, or the archive; downloads it if absent."""
        source = self.SOURCE
        place = self._look()
        if place is None and self.download:
            download(
                source.url, self.data_root, source.filename, source.tgz_md5, HOMEPAGE
            )
            place = self._look()
        if place is None:
            raise DatasetError(
                f'There is neither a folder {source.base_folder} nor {source.filename}.'
                f' Get the latter from {HOMEPAGE} and put it into {self.data_root!r}, '
                'or set download=True.'
            )
        return place

    def _look(self) -> str | None:
        source = self.SOURCE
        for name, _ in (source.train_list[0], source.test_list[0]):
            if os.path.isfile(os.path.join(self.data_root, name)):
                return self.data_root
            batch = find_file(self.data_root, f'{source.base_folder}/{name}')
            if batch is not None:
                return os.path.dirname(batch)
        return find_file(self.data_root, source.filename)


@DATASETS.register_module()
class SplitCIFAR100(SplitCIFAR10):
    """CIFAR100 with a validation set: as :class:`SplitCIFAR10`, in 100 classes.

    Read is ``cifar-100-python`` with its ``train`` and ``test``, or
    ``cifar-100-python.tar.gz``. The labels are the fine ones, the classes those of
    MMPretrain's ``CIFAR100``. Train and val have 450 and 50 images of each class.

    Args:
        *args: Those of :class:`SplitCIFAR10`.
        **kwargs: Those of :class:`SplitCIFAR10`.

    References:
        See :class:`SplitCIFAR10`.
    """

    METAINFO = CIFAR100.METAINFO
    SOURCE = CIFAR100


def _read_batches(place: str, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Reads images (number, 32, 32, 3), RGB, and labels (number,).

    Args:
        place: The folder or the archive.
        names: The files.
    """
    unpacked = os.path.isdir(place)
    files = [os.path.join(place, name) for name in names] if unpacked else [place]
    missing = [path for path in files if not os.path.isfile(path)]
    if missing:
        raise DatasetError(f'There is no {missing}. Unpack the archive anew.')
    changed = tuple(os.stat(path).st_mtime_ns for path in files)
    return _read_once(place, names, changed)


# Train and val are cut from one array, and a run builds its data sets several times.
@lru_cache(maxsize=4)
def _read_once(
    place: str, names: tuple[str, ...], _: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    read = _read_folder if os.path.isdir(place) else _read_archive
    batches = [_parse(path, data) for path, data in read(place, names).items()]
    images, labels = zip(*batches, strict=True)
    pixels = np.concatenate(images).reshape(-1, 3, 32, 32)
    return pixels.transpose(0, 2, 3, 1), np.concatenate(labels)


def _read_folder(folder: str, names: Iterable[str]) -> dict[str, bytes]:
    paths = [os.path.join(folder, name) for name in names]
    return {path: Path(path).read_bytes() for path in paths}


def _read_archive(path: str, names: Iterable[str]) -> dict[str, bytes]:
    """Reads files from an archive without unpacking it to disk."""
    found = {}
    try:
        with tarfile.open(path, 'r:gz') as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in names or not member.isfile():
                    continue
                if file := archive.extractfile(member):
                    found[name] = file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DatasetError(
            f'{path!r} cannot be read: {error}. Download it anew.'
        ) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DatasetError(f'{path!r} has no {missing} in it. Download it anew.')
    # Batches may lie in any order, and image ids go by theirs.
    return {f'{path}/{name}': found[name] for name in names}


def _parse(path: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Gives the images (number, 3072) and the labels (number,) of a batch."""
    try:
        batch = read_plain_pickle(data)
        labels = batch['labels'] if 'labels' in batch else batch['fine_labels']
        images = batch['data']
        _require(images, labels)
        return images, np.array(labels, dtype=np.int64)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DatasetError(
            f'{path!r} is no batch of CIFAR ({error}). Download it anew.'
        ) from error


def _require(images: Any, labels: Any) -> None:
    """Refuses what NumPy would cut, parse or fold into images and labels.

    Raises:
        ValueError: What it is, and what was expected.
    """
    listed = labels.tolist() if isinstance(labels, np.ndarray) else labels
    # Truth values are numbers to Python, too.
    if not isinstance(listed, list) or any(type(label) is not int for label in listed):
        raise ValueError('its labels are not a list of whole numbers')
    shape = getattr(images, 'shape', None)
    if shape != (len(listed), 3 * 32 * 32):
        raise ValueError(
            f'its data are of shape {shape}, not ({len(listed)}, 3072) as its labels'
        )


CIFAR10_1_HOMEPAGE = 'https://github.com/modestyachts/CIFAR-10.1'


@DATASETS.register_module()
class CIFAR10_1(ArrayDataset):
    """CIFAR10.1: about 2,000 new images of the ten classes of CIFAR10.

    They were collected from the same source in the same way years later, so that they
    show how well a model generalizes beyond the first test set. Read are
    ``cifar10.1_v6_data.npy`` and ``cifar10.1_v6_labels.npy``, in ``data_root`` or up to
    two folders below it, as in a clone of the authors' repository.

    ``img`` is BGR, uint8 (32, 32, 3). The image ids are ``v6_00000`` and so on. The
    classes are those of CIFAR10, in the same order.

    Args:
        data_root: The folder with the files.
        split: ``'test'`` or ``'all'``, which here is the same.
        version: ``'v6'``, 2,000 images, 200 of each class, which the paper takes; or
            ``'v4'``, 2,021 images, the first of the two.
        **kwargs: Those of :class:`ArrayDataset` and :class:`SplitDataset`.

    References:
        B. Recht, R. Roelofs, L. Schmidt, V. Shankar, "Do CIFAR-10 Classifiers
        Generalize to CIFAR-10?", arXiv 1806.00451 (2018).
    """

    METAINFO = CIFAR10.METAINFO

    def __init__(
        self, data_root: str, split: str = 'test', version: str = 'v6', **kwargs: Any
    ) -> None:
        check_choice('split', split, ('test', 'all'))  # it is for testing only
        check_choice('version', version, ('v4', 'v6'))
        self.version = version
        super().__init__(data_root=data_root, split=split, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads both arrays."""
        labels = self._load('labels')
        if labels.ndim != 1:
            raise DatasetError(
                f'{self.version}: labels are of shape {labels.shape}, not (number,). '
                'Take the files as they were downloaded.'
            )
        return self.make_cases(self.version, labels, 'test')

    def read_images(self, array: str) -> np.ndarray:
        """Reads the images, (number, 32, 32, 3), RGB."""
        return self._load('data')

    def _load(self, part: str) -> np.ndarray:
        name = f'cifar10.1_{self.version}_{part}.npy'
        path = find_file(self.data_root, name)
        if path is None:
            raise DatasetError(
                f'There is no {name}. Get it from {CIFAR10_1_HOMEPAGE} and put it into '
                f'{self.data_root!r}.'
            )
        return _load(path, os.stat(path).st_mtime_ns)


# A run builds its data sets several times.
@lru_cache(maxsize=4)
def _load(path: str, _: int) -> np.ndarray:
    """Loads an array, read-only; the time of its last change is for the cache."""
    try:
        return np.load(path, allow_pickle=False)
    # NumPy raises whatever a damaged header makes it stumble over.
    except Exception as error:
        raise DatasetError(
            f'{path!r} is damaged: {first_line(error)[:160]}. Download it anew.'
        ) from error
