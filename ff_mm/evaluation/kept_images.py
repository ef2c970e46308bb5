"""The cases of an evaluation set, in batches: decoded anew, or kept."""

from __future__ import annotations

import copy
import errno
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import DataLoader

from ff_mm.memory import fits

Batch = dict[str, Any]
# Of other errors: there are file systems that cannot take space.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Images that go through the network at a time. On a CPU few fit into its caches. A GPU
# is busy with so many of 224 x 224; of larger ones it is as many pixels.
FEW, _MANY = 32, 256
_PIXELS = _MANY * 224**2

_CPU = torch.device('cpu')

Order = Sequence[int] | np.ndarray


class Cases(ABC):
    """What a pass goes through: all cases that a data loader gives to this rank."""

    @abstractmethod
    def batches(self, size: int | None, order: Order | None = None) -> Iterator[Batch]:
        """Yields batches as the model's ``val_step`` takes them.

        Args:
            size: Cases of a batch, at most; None: what suits the device.
            order: Numbers of the cases in the order in which they are wanted; None:
                that of the data loader.

        Yields:
            ``inputs``, uint8 of shape (cases, channels, height, width), and
            ``data_samples``, which are the same objects in every pass. Where the data
            loader gives lists of images, ``inputs`` is one, and the samples are copies:
            libraries that take lists write maps of predictions into them. Batches of
            any other kind are as the data loader gives them.
        """


class StreamedCases(Cases):
    """Cases that a data loader decodes anew in every pass.

    Args:
        loader: The data loader.
        channels_last: Whether to give images in that memory format, which convolutions
            on a CPU are fastest with.
        device: Where they are looked at.
    """

    def __init__(
        self, loader: DataLoader, channels_last: bool, device: torch.device = _CPU
    ) -> None:
        self._loader = loader
        self._format = torch.channels_last if channels_last else torch.preserve_format
        self._device = device

    def batches(self, size: int | None, order: Order | None = None) -> Iterator[Batch]:
        """Yields the loader's batches, cut to ``size``; ``order`` must be None."""
        assert order is None
        for batch in self._loader:
            inputs = _parts(batch)[0]
            if not _is_stack(inputs):
                yield batch
                continue
            inputs = inputs.to(self._device, non_blocking=True)
            step = size or usual_size(inputs, self._device)
            for start in range(0, len(inputs), step):
                chosen = slice(start, start + step)
                yield dict(
                    inputs=inputs[chosen].contiguous(memory_format=self._format),
                    data_samples=batch['data_samples'][chosen],
                )


class KeptCases(Cases):
    """Cases that went through the pipeline once.

    Args:
        inputs: All images, (cases, channels, height, width), in either memory format.
        samples: Their data samples.
        where: Where the images are, in words.
        device: Where they are looked at.
        as_lists: Whether batches are to have a list of images.
    """

    def __init__(
        self,
        inputs: Tensor,
        samples: Sequence[Any],
        where: str = 'memory',
        device: torch.device = _CPU,
        as_lists: bool = False,
    ) -> None:
        self.samples = list(samples)
        self._as_lists = as_lists
        self.where = where
        self.nbytes = inputs.nbytes
        self._device = device
        self._usual = usual_size(inputs, device)
        # Seen from the side on which it is contiguous, else picking would transpose.
        self._last = not inputs.is_contiguous()
        self._rows = inputs.permute(0, 2, 3, 1) if self._last else inputs

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, size: int | None, order: Order | None = None) -> Iterator[Batch]:
        """Yields batches without decoding anything."""
        size = size or self._usual
        numbers = np.arange(len(self)) if order is None else np.asarray(order)
        # To the device once, and not with each batch.
        there = torch.as_tensor(numbers, device=self._rows.device)
        for start in range(0, len(self), size):
            chosen = slice(start, start + size)
            samples = [self.samples[number] for number in numbers[chosen].tolist()]
            picks = order is not None
            rows = self._picked(there[chosen]) if picks else self._rows[chosen]
            # From pinned memory this does not wait.
            rows = rows.to(self._device, non_blocking=True)
            inputs = rows.permute(0, 3, 1, 2) if self._last else rows
            if self._as_lists:
                samples = list(map(_copied, samples))
                yield dict(inputs=list(inputs.unbind()), data_samples=samples)
            else:
                yield dict(inputs=inputs, data_samples=samples)

    def _picked(self, numbers: Tensor) -> Tensor:
        """Images by their numbers, in pinned memory if they are to be copied."""
        rows = self._rows
        out = torch.empty(
            (len(numbers), *rows.shape[1:]),
            dtype=rows.dtype,
            device=rows.device,
            pin_memory=_pins(self._device) and rows.device != self._device,
        )
        return torch.index_select(rows, 0, numbers, out=out)


def usual_size(inputs: Tensor, device: torch.device) -> int:
    """Returns how many images suit a device at a time.

    Args:
        inputs: Some of these.
        device: Where they are looked at.
    """
    if device.type == 'cpu':
        return FEW
    pixels = inputs.shape[-2] * inputs.shape[-1]
    return max(FEW, min(_MANY, _PIXELS // pixels))


def _pins(device: torch.device) -> bool:
    """Whether memory can be pinned from which a device copies by itself."""
    return device.type == 'cuda'


def keep(
    loader: DataLoader,
    channels_last: bool,
    memory: int,
    folder: Path,
    device: torch.device = _CPU,
) -> KeptCases | None:
    """Sends all cases through the pipeline and keeps what comes out.

    On a GPU they are one tensor there, if it takes no more than a third of what is free
    (:func:`ff_mm.memory.fits`); else, and on a CPU, they are in memory, pinned for a
    GPU, or in a file.

    Args:
        loader: The data loader, whose workers decode.
        channels_last: The memory format to keep them in.
        memory: Bytes that they may take in memory. More go into a file in ``folder``
            that is mapped into memory, and gone when it is closed.
        folder: Where such a file may lie.
        device: Where they are looked at.

    Returns:
        The cases; None where they cannot be kept: images of different sizes, or no
        memory and no disk space for them.
    """
    sampler: Any = loader.sampler
    number = len(sampler)
    images: Tensor | None = None
    where = ''
    samples: list[Any] = []
    as_lists = False
    for batch in loader:
        inputs, of_batch = _parts(batch)
        if isinstance(inputs, list) and _are_alike(inputs):
            # Stacked by the model itself, which has its own memory format.
            inputs, as_lists, channels_last = torch.stack(inputs), True, False
        if not _is_stack(inputs):
            return None
        if images is None:
            images, where = _allocate(
                number, inputs, channels_last, memory, folder, device
            )
        if images is None or inputs.shape[1:] != images.shape[1:]:
            return None
        images[len(samples) : len(samples) + len(inputs)] = inputs
        samples += of_batch
    if images is None or len(samples) != number:  # a sampler or batches of one's own
        return None
    return KeptCases(images, samples, where, device, as_lists)


def is_of_images(batch: Any) -> bool:
    """Whether a batch of a data loader has images, and data samples beside them."""
    return _parts(batch)[1] is not None


def count_cases(batch: Any) -> int:
    """Returns how many cases a batch of a data loader has, as far as it shows.

    Args:
        batch: As a data loader gives it: a map of stacks or lists, or one of them a
            position.
    """
    _, samples = _parts(batch)
    if samples is not None:
        return len(samples)
    values = list(batch.values()) if isinstance(batch, Mapping) else batch
    first = values[0] if isinstance(values, (list, tuple)) and values else values
    if isinstance(first, Tensor):
        return len(first) if first.ndim else len(values)
    return len(first) if isinstance(first, Sized) else 1


def _parts(batch: Any) -> tuple[Any, Any]:
    """Images and data samples of a batch of MMEngine's libraries; None: of another."""
    if isinstance(batch, Mapping) and set(batch) == {'inputs', 'data_samples'}:
        return batch['inputs'], batch['data_samples']
    return None, None


def _are_alike(inputs: list[Any]) -> bool:
    """Whether these are images of one size."""
    images = all(isinstance(each, Tensor) and each.ndim == 3 for each in inputs)
    return images and len({(each.shape, each.dtype) for each in inputs}) == 1


def _copied(sample: Any) -> Any:
    """A sample that can be written into."""
    if isinstance(sample, BaseDataElement):
        return sample.new()
    return copy.copy(sample)


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
    number: int,
    inputs: Tensor,
    channels_last: bool,
    memory: int,
    folder: Path,
    device: torch.device,
) -> tuple[Tensor | None, str]:
    """Room for all images, of the shape and dtype of those in ``inputs``; and where."""
    channels, height, width = inputs.shape[1:]
    image = (height, width, channels) if channels_last else (channels, height, width)
    shape = (number, *image)
    nbytes = number * inputs[0].nbytes
    images, where = None, f'the memory of {device}'
    if fits(nbytes, device):
        images = _on_device(shape, inputs.dtype, device)
    if images is None and nbytes <= memory:
        where = 'memory'
        images = torch.empty(shape, dtype=inputs.dtype, pin_memory=_pins(device))
    if images is None:
        where = 'a file'
        images = _in_file(shape, inputs, nbytes, folder)
    if images is None or not channels_last:
        return images, where
    return images.permute(0, 3, 1, 2), where


def _on_device(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    try:
        return torch.empty(shape, dtype=dtype, device=device)
    except torch.OutOfMemoryError:  # another process has taken what was free
        return None


def _in_file(
    shape: tuple[int, ...], inputs: Tensor, nbytes: int, folder: Path
) -> Tensor | None:
    folder.mkdir(parents=True, exist_ok=True)
    if nbytes > shutil.disk_usage(folder).free:
        return None
    with tempfile.TemporaryFile(dir=folder) as file:
        if not _take_space(file, nbytes):
            return None
        mapped = np.memmap(file, inputs.numpy().dtype, 'w+', shape=shape)
    return torch.from_numpy(mapped)
