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
    said = [s.to_dict() if isinstance(s, BaseDataElement) else s for s in samples]
    return said if device.type == 'cpu' else in_memory(said, device)


def in_memory(samples: Sequence[Any], device: torch.device) -> list[Any]:
    """Copies all tensors of a batch from a device, in one go.

    Each copy by itself would wait for the device, several times an image.

    Args:
        samples: Dicts, of which those with tensors are copied; others stay.
        device: Where tensors are that are to be copied.
    """
    said = [dict(s) if isinstance(s, Mapping) else s for s in samples]
    alike: dict[tuple[torch.dtype, torch.Size], list[tuple[dict, str]]] = {}
    for sample in said:
        for name, value in sample.items() if isinstance(sample, dict) else ():
            if isinstance(value, Tensor) and value.device == device:
                alike.setdefault((value.dtype, value.shape), []).append((sample, name))
    if not alike:
        return said
    # The widest first, so that each begins where numbers of its width may.
    order = sorted(alike, key=lambda kind: -kind[0].itemsize)
    stacks = [torch.stack([s[name] for s, name in alike[kind]]) for kind in order]
    read = torch.cat([stack.flatten().view(torch.uint8) for stack in stacks]).cpu()
    parts = read.split([stack.nbytes for stack in stacks])
    for (dtype, shape), part in zip(order, parts, strict=True):
        places = alike[dtype, shape]
        values = part.view(dtype).view(len(places), *shape)
        for (sample, name), value in zip(places, values, strict=True):
            sample[name] = value
    return said
