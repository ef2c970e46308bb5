"""Images of a data set that stay in memory, of a GPU or such as it reads fastest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ff_mm.memory import fits, memory_of_machine

# Bytes that are allocated at a time, a power of two as pinned memory has it.
_BLOCK = 2**26
# Images by which the size of all is estimated, and that are read at a time.
_SAMPLE = 64


def choose_place(
    wanted: str, device: torch.device, needed: Callable[[], float], share: float
) -> str:
    """Says where images are to lie.

    Args:
        wanted: See :class:`.batch_pipeline.DevicePipelineOptions`; ``'auto'`` is what
            is decided here.
        device: That trains.
        needed: Estimates the bytes of all images; asked where that decides.
        share: Of memory that they may take.

    Returns:
        ``'device'``, ``'pinned'`` or ``'cache'``.
    """
    if wanted != 'auto':
        return wanted
    if device.type != 'cuda':
        return 'cache'
    size = needed()
    if fits(size, device, share):
        return 'device'
    # Each process of a machine has pinned memory of its own.
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    return 'pinned' if size <= share * memory_of_machine() / processes else 'cache'


def estimate_size(dataset: Any) -> float:
    """Estimates the bytes of all images from some of them, all along the data set."""
    chosen = np.linspace(0, len(dataset) - 1, min(_SAMPLE, len(dataset))).astype(int)
    sizes = [dataset[int(index)]['inputs'].nbytes for index in chosen]
    return len(dataset) * float(np.mean(sizes))


class ResidentImages:
    """Keeps all images of a data set, of any sizes, and gives their numbers for them.

    torch calls it for the cases of a batch, in place of the data set.

    Args:
        loader: Whose data set is read, by its workers if it has any.
        device: Where to keep the images.
        pinned: Whether to keep them in pinned memory instead.

    Attributes:
        nbytes: Of all images.
    """

    def __init__(
        self, loader: DataLoader, device: torch.device, pinned: bool = False
    ) -> None:
        self._blocks = _Blocks(device, pinned)
        self._images: list[Tensor] = []
        self._cases: list[dict[str, Any]] = []
        reader: DataLoader = DataLoader(
            loader.dataset,
            batch_size=_SAMPLE,
            num_workers=loader.num_workers,
            collate_fn=_as_they_are,
            worker_init_fn=loader.worker_init_fn,
        )
        for cases in reader:
            for case in cases:
                self._images.append(self._blocks.keep(case['inputs']))
                self._cases.append(dict(case, inputs=len(self._cases)))
        self.nbytes = sum(image.nbytes for image in self._images)

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Gives cases, with the number of an image as ``inputs``."""
        return [self._cases[index] for index in indices]

    def find(self, numbers: Sequence[int]) -> list[Tensor]:
        """Gives images by their numbers, which are not to be written to."""
        return [self._images[int(number)] for number in numbers]


class _Blocks:
    """Memory in large pieces, as images are too many to ask for each."""

    def __init__(self, device: torch.device, pinned: bool) -> None:
        self._options: dict[str, Any] = (
            dict(pin_memory=True) if pinned else dict(device=device)
        )
        self._free = torch.empty(0, dtype=torch.uint8)

    def keep(self, image: Tensor) -> Tensor:
        """Gives a copy of an image that lies there."""
        size = image.numel()
        if size > len(self._free):
            self._free = torch.empty(
                max(size, _BLOCK), dtype=torch.uint8, **self._options
            )
        kept, self._free = self._free[:size], self._free[size:]
        return kept.view(image.shape).copy_(image)


def _as_they_are(cases: list[Any]) -> list[Any]:
    return cases
