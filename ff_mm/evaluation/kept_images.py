"""The cases of an evaluation set, in batches: decoded anew, or kept."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import DataLoader

Batch = dict[str, Any]
# Of other errors: there are file systems that cannot take space.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


Order = Sequence[int] | np.ndarray


class Cases(ABC):
    """What a pass goes through: all cases that a data loader gives to this rank."""

    @abstractmethod
    def batches(self, size: int, order: Order | None = None) -> Iterator[Batch]:
        """Yields batches as the model's ``val_step`` takes them.

        Args:
            size: Cases of a batch, at most.
            order: Numbers of the cases in the order in which they are wanted; None:
                that of the data loader.

        Yields:
            ``inputs``, uint8 of shape (cases, channels, height, width), and
            ``data_samples``. The samples are the same objects in every pass.
        """


class StreamedCases(Cases):
    """Cases that a data loader decodes anew in every pass.

    Args:
        loader: The data loader.
        channels_last: Whether to give images in that memory format, which convolutions
            on a CPU are fastest with.
    """

    def __init__(self, loader: DataLoader, channels_last: bool) -> None:
        self._loader = loader
        self._format = torch.channels_last if channels_last else torch.preserve_format

    def batches(self, size: int, order: Order | None = None) -> Iterator[Batch]:
        """Yields the loader's batches, cut to ``size``; ``order`` must be None."""
        assert order is None
        for batch in self._loader:
            inputs = batch['inputs']
            if not _is_stack(inputs):
                yield batch
                continue
            for start in range(0, len(inputs), size):
                chosen = slice(start, start + size)
                yield dict(
                    inputs=inputs[chosen].contiguous(memory_format=self._format),
                    data_samples=batch['data_samples'][chosen],
                )


class KeptCases(Cases):
    """Cases that went through the pipeline once.

    Args:
        inputs: All images, (cases, channels, height, width), in either memory format.
        samples: Their data samples.
        in_file: Whether the images are mapped from a file.
    """

    def __init__(
        self, inputs: Tensor, samples: Sequence[DataSample], in_file: bool
    ) -> None:
        self.samples = list(samples)
        self.in_file = in_file
        self.nbytes = inputs.nbytes
        # Seen from the side on which it is contiguous, else picking would transpose.
        self._last = not inputs.is_contiguous()
        self._rows = inputs.permute(0, 2, 3, 1) if self._last else inputs

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, size: int, order: Order | None = None) -> Iterator[Batch]:
        """Yields batches without decoding anything."""
        for start in range(0, len(self), size):
            if order is None:
                rows = self._rows[start : start + size]
                samples = self.samples[start : start + size]
            else:
                picked = [int(number) for number in order[start : start + size]]
                rows = self._rows[picked]
                samples = [self.samples[number] for number in picked]
            inputs = rows.permute(0, 3, 1, 2) if self._last else rows
            yield dict(inputs=inputs, data_samples=samples)


def keep(
    loader: DataLoader, channels_last: bool, memory: int, folder: Path
) -> KeptCases | None:
    """Sends all cases through the pipeline and keeps what comes out.

    Args:
        loader: The data loader, whose workers decode.
        channels_last: The memory format to keep them in.
        memory: Bytes that they may take in memory. More go into a file in ``folder``
            that is mapped into memory, and gone when it is closed.
        folder: Where such a file may lie.

    Returns:
        The cases; None where they cannot be kept: images of different sizes, or no
        memory and no disk space for them.
    """
    sampler: Any = loader.sampler
    number = len(sampler)
    images: Tensor | None = None
    samples: list[DataSample] = []
    for batch in loader:
        inputs = batch['inputs']
        if not _is_stack(inputs):
            return None
        if images is None:
            images = _allocate(number, inputs, channels_last, memory, folder)
        if images is None or inputs.shape[1:] != images.shape[1:]:
            return None
        images[len(samples) : len(samples) + len(inputs)] = inputs
        samples += batch['data_samples']
    if images is None or len(samples) != number:  # a sampler or batches of one's own
        return None
    return KeptCases(images, samples, in_file=images.nbytes > memory)


def _take_space(file: IO[bytes], nbytes: int) -> bool:
    """Takes the space of a file that is to be mapped; False if there is not as much.

    A mapped file that has holes kills the process where it is written to and the disk
    is full, or a quota is used up, which nobody can ask for beforehand.
    """
    if not hasattr(os, 'posix_fallocate'):  # Windows
        return True
    try:
        os.posix_fallocate(file.fileno(), 0, nbytes)
    except OSError as error:
        return error.errno not in _NO_SPACE
    return True


def _is_stack(inputs: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.ndim == 4


def _allocate(
    number: int, inputs: Tensor, channels_last: bool, memory: int, folder: Path
) -> Tensor | None:
    """Room for all images, of the shape and dtype of those in ``inputs``."""
    channels, height, width = inputs.shape[1:]
    shape = (height, width, channels) if channels_last else (channels, height, width)
    nbytes = number * inputs[0].nbytes
    if nbytes <= memory:
        images = torch.empty((number, *shape), dtype=inputs.dtype)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        if nbytes > shutil.disk_usage(folder).free:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            if not _take_space(file, nbytes):
                return None
            dtype = inputs.numpy().dtype
            mapped = np.memmap(file, dtype, 'w+', shape=(number, *shape))
        images = torch.from_numpy(mapped)
    return images.permute(0, 3, 1, 2) if channels_last else images
