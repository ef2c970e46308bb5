"""Work that one process of a distributed run does for all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist
from mmengine.dist import get_world_size, is_main_process

from ff_mm.errors import FFMMError

T = TypeVar('T')

# The others wait for as long as it takes; NCCL would give up after ten minutes.
_PATIENCE = timedelta(days=7)


def on_main_process(function: Callable[[], T]) -> T:
    """Calls a function on the main process and gives all processes what it returns.

    Args:
        function: What to do. Its result must be picklable.

    Returns:
        The result, on every process.

    Raises:
        FFMMError: On every process, if the function raises it.
    """
    if get_world_size() == 1:
        return function()
    group = dist.new_group(backend='gloo', timeout=_PATIENCE)
    outcome = [_outcome(function) if is_main_process() else None]
    dist.broadcast_object_list(outcome, src=0, group=group)
    dist.destroy_process_group(group)
    if isinstance(outcome[0], FFMMError):
        raise outcome[0]
    return outcome[0]


def _outcome(function: Callable[[], T]) -> T | FFMMError:
    try:
        return function()
    except FFMMError as error:
        return error
