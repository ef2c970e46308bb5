"""What fits into the memory of a device beside all else."""

from __future__ import annotations

import torch

# Of what is free, so much is taken at most: networks need the rest, and another process
# may ask the same device at the same time.
_SHARE = 1 / 3


def free_memory(device: torch.device) -> int:
    """Returns how many bytes can be taken on a device.

    What is free, and what torch holds there of which nobody uses anything.

    Args:
        device: The device; of others than GPUs it is 0.
    """
    if device.type != 'cuda':
        return 0
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + held


def fits(nbytes: int, device: torch.device) -> bool:
    """Says whether something may stay on a device: if it is a third of what is free.

    Args:
        nbytes: How much it takes.
        device: Where.
    """
    return nbytes <= _SHARE * free_memory(device)
