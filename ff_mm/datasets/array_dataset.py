"""Data sets that lie in arrays: read once, shared by splits and workers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from mmengine.dist import barrier, is_main_process

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.split_dataset import SplitDataset


class ArrayImage(NamedTuple):
    """Where the pixels of a case are.

    Attributes:
        array: Name of an array, as :meth:`ArrayDataset.read_images` takes it.
        row: Of the array.
    """

    array: str
    row: int


class ArrayDataset(SplitDataset):
    """Base of the data sets that lie in arrays of images of one size.

    MMEngine serialises every ``data_info``, and unpickles one for each image it gives.
    So that the pixels are not in memory twice, a ``data_info`` holds their place only,
    and ``img`` is put in when it is asked for: by :meth:`get_data_info` as a read-only
    view of the array, which costs nothing, and for the pipeline as a copy of its own.
    Copies and pickles of the data set, as workers that are spawned get them, hold no
    pixels and read the array again when they need it; workers that are forked share it.

    A subclass gives ``read_cases``, which builds its cases with :meth:`make_cases` and
    may raise what is wrong, and :meth:`read_images`. In a distributed run all processes
    must build the data set, as Runners do: the first reads its files alone, the others
    then find downloaded and unpacked what was not there before.

    ``classes`` may give the names of the data set in another order, which renumbers the
    labels, or as many other names, which are those of the same classes in their order.

    Args:
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arrays = _Opened()
        super().__init__(*args, **kwargs)

    @property
    def file_classes(self) -> tuple[str, ...]:
        """Names of the classes in the order in which the files number them."""
        return tuple(self.METAINFO['classes'])

    @abstractmethod
    def read_images(self, array: str) -> np.ndarray:
        """Reads one array of images.

        Args:
            array: Its name, chosen by the subclass.

        Returns:
            uint8 of shape (number, height, width, 3), RGB, or (number, height, width),
            grey. It may be a view, or mapped from disk; it is not written to.

        Raises:
            DatasetError: It cannot be read.
        """

    def open_images(self, array: str) -> np.ndarray:
        """Gives an array of images, which is read when it is first needed."""
        if array not in self._arrays:
            images = self.read_images(array)
            images.setflags(write=False)
            self._arrays[array] = images
        return self._arrays[array]

    def make_cases(
        self, array: str, labels: np.ndarray, split: str | None
    ) -> list[Case]:
        """Makes one case of each row of an array of images.

        Args:
            array: Name of the array. Image ids are made of it, as ``train_00012``.
            labels: Whole numbers: classes, shape (number,), or all labels of each
                image, 1 or 0, shape (number, number of labels).
            split: Of all of these cases.

        Raises:
            DatasetError: The images cannot be read, the labels do not fit them, or
                ``classes`` does not fit the data set.
        """
        images = self.open_images(array)
        mismatch = _mismatch(images, labels, len(self.file_classes))
        if mismatch:
            raise DatasetError(
                f'{array}: {mismatch}. Take the files as they were downloaded.'
            )
        order = _class_order(list(self.CLASSES), list(self.file_classes))
        if labels.ndim == 1:
            numbers = np.argsort(order)[labels].tolist()
        else:
            numbers = list(map(tuple, labels[:, order].astype(float).tolist()))
        return [
            Case(f'{array}_{row:05d}', label, split=split, image=ArrayImage(array, row))
            for row, label in enumerate(numbers)
        ]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Gives what is known of a case, with ``img`` as a view that is read-only.

        Args:
            idx: Number of the case.

        Returns:
            ``img``, uint8 (height, width, 3), BGR, and the rest as
            :class:`SplitDataset` has it.
        """
        info = super().get_data_info(idx)
        array, row = info['img']
        info['img'] = _as_bgr(self.open_images(array)[row])
        return info

    def prepare_data(self, idx: int) -> Any:
        """Gives a case through the pipeline, which may write to the image."""
        info = self.get_data_info(idx)
        info['img'] = info['img'].copy()
        return self.pipeline(info)

    def _read(self, problems: Problems) -> list[Case]:
        # An absent folder is no problem of its own: files may lie elsewhere, or be
        # downloaded, and else read_cases says which to get.
        with _main_process_first():
            try:
                return self.read_cases(problems)
            except (DatasetError, OSError) as error:
                problems.add(str(error))
                return []


class _Opened(dict):
    """Arrays by name. Copies and pickles of it are empty, to be filled anew."""

    def __reduce__(self) -> tuple:
        return _Opened, ()


def _as_bgr(pixels: np.ndarray) -> np.ndarray:
    """Views an image, grey or RGB, as three channels in MMCV's order."""
    if pixels.ndim == 2:
        return np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    return pixels[..., ::-1]


def _mismatch(images: np.ndarray, labels: np.ndarray, classes: int) -> str | None:
    """Says what is wrong with images and their labels, if anything is."""
    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or images.shape[3:] not in ((), (3,))
    ):
        return (
            f'images are {images.dtype} of shape {images.shape}, not uint8 of (number, '
            'height, width) or (number, height, width, 3)'
        )
    if labels.dtype.kind not in 'iu' or labels.shape[1:] not in ((), (classes,)):
        return (
            f'labels are {labels.dtype} of shape {labels.shape}, not whole numbers of '
            f'shape (number,) or (number, {classes})'
        )
    if len(images) != len(labels):
        return f'there are {len(images)} images but {len(labels)} labels'
    largest = classes - 1 if labels.ndim == 1 else 1
    if labels.size and not 0 <= labels.min() <= labels.max() <= largest:
        return f'labels are {labels.min()} to {labels.max()}, not 0 to {largest}'
    return None


def _class_order(names: list[str], known: list[str]) -> list[int]:
    """Gives, for every class as a user names them, its number in the files."""
    if set(names) == set(known):
        return [known.index(name) for name in names]
    # Other names for the same classes; a known one in another place is a mistake.
    moved = [n for n, k in zip(names, known, strict=False) if n != k and n in known]
    if len(names) != len(known) or moved:
        raise DatasetError(
            f'classes {names} do not fit the data set. Give the classes {known} in any '
            f'order, or {len(known)} other names for them in this order.'
        )
    return list(range(len(known)))


@contextmanager
def _main_process_first() -> Iterator[None]:
    """Lets one process do first what the others then find done."""
    if not is_main_process():
        barrier()
    try:
        yield
    finally:
        if is_main_process():
            barrier()
