"""CIFAR10.1: a second test set for CIFAR10, and so out-of-distribution for it."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np
from mmpretrain.datasets import CIFAR10
from mmpretrain.registry import DATASETS

from ff_mm.datasets.array_dataset import ArrayDataset
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.files.finding import find_file
from ff_mm.datasets.split_dataset import Case

HOMEPAGE = 'https://github.com/modestyachts/CIFAR-10.1'


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

    Raises:
        ValueError: An argument is none of the values above.
        DatasetError: The files cannot be used; names every problem that was found.

    References:
        B. Recht, R. Roelofs, L. Schmidt, V. Shankar, "Do CIFAR-10 Classifiers
        Generalize to CIFAR-10?", arXiv 1806.00451 (2018).
    """

    METAINFO = CIFAR10.METAINFO

    def __init__(
        self, data_root: str, split: str = 'test', version: str = 'v6', **kwargs: Any
    ) -> None:
        if split not in ('test', 'all'):
            raise ValueError(
                f'CIFAR10.1 is for testing only: split must be test, got {split!r}'
            )
        if version not in ('v4', 'v6'):
            raise ValueError(f'version must be v4 or v6, got {version!r}')
        self.version = version
        super().__init__(data_root=data_root, split=split, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads both arrays."""
        try:
            labels = self._load('labels')
            return self.make_cases(self.version, labels, 'test')
        except (DatasetError, OSError) as error:
            problems.add(str(error))
            return []

    def read_images(self, array: str) -> np.ndarray:
        """Reads the images, (number, 32, 32, 3), RGB."""
        return self._load('data')

    def _load(self, part: str) -> np.ndarray:
        name = f'cifar10.1_{self.version}_{part}.npy'
        path = find_file(self.data_root, name)
        if path is None:
            raise DatasetError(
                f'There is no {name}. Get it from {HOMEPAGE} and put it into '
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
        reason = str(error).split('\n', 1)[0][:160]
        raise DatasetError(
            f'{path!r} is damaged: {reason}. Download it anew.'
        ) from error
