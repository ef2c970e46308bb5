"""What one rank knows and all must act on, in the same iteration."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size


def any_rank(flag: bool) -> bool:
    """Says whether a flag is set on any rank; free without a process group.

    A collective: all ranks must call it, in the same order among their collectives.

    Args:
        flag: What this rank says.
    """
    if get_world_size() == 1:
        return flag
    # all_reduce takes it to the backend's device and back.
    answer = torch.tensor([int(flag)])
    all_reduce(answer, 'max')
    return bool(answer.item())


def is_time_to_agree(batch_idx: int, interval: int) -> bool:
    """Says whether the ranks ask each other after this iteration.

    Args:
        batch_idx: The iteration within the epoch, from 0; the same on all ranks.
        interval: Iterations between two agreements. Without a process group there is
            nobody to wait for, and every iteration is one.
    """
    return get_world_size() == 1 or (batch_idx + 1) % interval == 0
