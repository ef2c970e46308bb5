"""What a network has said, read from its device at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


def as_dicts(samples: Sequence[Any], device: torch.device) -> list[Any]:
    """Returns data samples as dicts whose tensors are in main memory.

    Args:
        samples: MMEngine's data samples, or dicts; what is neither stays as it is.
        device: Where the network is.
    """
    return Reading(samples, device).result()


class Reading:
    """Data samples on their way to main memory: all tensors of a batch in one copy.

    Each tensor by itself would be a wait for the device, several an image. The copy is
    begun at once and waited for when it is needed, so that a GPU can work meanwhile. On
    a CPU nothing is copied.

    Args:
        samples: As :func:`as_dicts` takes them.
        device: Where tensors are that are to be copied; others stay as they are.
    """

    def __init__(self, samples: Sequence[Any], device: torch.device) -> None:
        self._samples = [_as_dict(sample) for sample in samples]
        self._places: list[list[tuple[dict[str, Any], str]]] = []
        self._stacks: list[Tensor] = []
        self._done: torch.cuda.Event | None = None
        if device.type != 'cpu':
            self._begin(device)

    def _begin(self, device: torch.device) -> None:
        alike: dict[tuple[torch.dtype, torch.Size], list[tuple[dict, str]]] = {}
        for sample in self._samples:
            for name, value in sample.items() if isinstance(sample, dict) else ():
                if isinstance(value, Tensor) and value.device == device:
                    kind = value.dtype, value.shape
                    alike.setdefault(kind, []).append((sample, name))
        if not alike:
            return
        # The widest first, so that each begins where numbers of its width may.
        self._places = [
            alike[kind] for kind in sorted(alike, key=lambda kind: -kind[0].itemsize)
        ]
        there = [
            torch.stack([sample[name] for sample, name in places])
            for places in self._places
        ]
        packed = self._copied(
            torch.cat([stack.flatten().view(torch.uint8) for stack in there])
        )
        parts = packed.split([stack.nbytes for stack in there])
        self._stacks = [
            part.view(stack.dtype).view(stack.shape)
            for part, stack in zip(parts, there, strict=True)
        ]

    def _copied(self, packed: Tensor) -> Tensor:
        if packed.device.type != 'cuda':
            return packed.cpu()
        copy = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
        copy.copy_(packed, non_blocking=True)
        self._done = torch.cuda.Event()
        self._done.record(torch.cuda.current_stream(packed.device))
        return copy

    def result(self) -> list[Any]:
        """Returns the samples as dicts, once their tensors are in main memory."""
        if self._done is not None:
            self._done.synchronize()
        for places, values in zip(self._places, self._stacks, strict=True):
            for (sample, name), value in zip(places, values, strict=True):
                sample[name] = value
        return self._samples


def _as_dict(sample: Any) -> Any:
    if isinstance(sample, BaseDataElement):
        return sample.to_dict()
    return dict(sample) if isinstance(sample, Mapping) else sample
