"""How much memory the machine has, and what fits on a device beside all else."""

from __future__ import annotations

import os

import torch

# Of what is free, so much is taken unless told otherwise: networks need the rest, and
# another process may ask the same device at the same time.
_SHARE = 1 / 3


def memory_of_machine() -> float:
    """Gives the bytes of memory of this machine, where it says."""
    if not hasattr(os, 'sysconf'):  # Windows
        return float('inf')
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


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


def fits(nbytes: float, device: torch.device, share: float = _SHARE) -> bool:
    """Says whether something may stay on a device.

    Args:
        nbytes: How much it takes.
        device: Where.
        share: Of what is free there, that it may take.
    """
    return nbytes <= share * free_memory(device)
