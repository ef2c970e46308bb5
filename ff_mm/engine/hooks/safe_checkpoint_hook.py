"""Checkpoints of plain values, which load with ``weights_only=True``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS
from mmengine.runner import Runner

_BUFFER = ('log_history', 'count_history', 'max_length')
_PLAIN = (str, bytes, int, float, bool, type(None), torch.Tensor, torch.dtype)


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Turns what MMEngine saves into tensors and plain Python values.

    MMEngine's training checkpoints hold ``HistoryBuffer`` objects and NumPy scalars
    in the message hub. From torch 2.6 on such a file cannot be resumed from, since
    loading runs with ``weights_only=True``. This hook writes plain values and rebuilds
    the buffers on loading. Stock MMEngine can resume from such a file as well; it
    skips the smoothing windows of the log.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Makes the checkpoint plain, in place.

        Raises:
            TypeError: A value of a type that could not be loaded again; said at the
                first checkpoint rather than when the run is to be resumed.
        """
        for key, value in checkpoint.items():
            checkpoint[key] = to_plain(value, key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rebuilds the message hub's buffers, in place."""
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for key, value in scalars.items():
            if isinstance(value, dict) and set(value) == set(_BUFFER):
                scalars[key] = HistoryBuffer(*(value[name] for name in _BUFFER))


def to_plain(value: Any, path: str = '') -> Any:
    """Returns the value with NumPy and MMEngine objects made plain.

    Args:
        value: Anything that a checkpoint holds.
        path: Where it stands, for the error.

    Raises:
        TypeError: A type that ``weights_only=True`` would refuse, with its path.
    """
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return dict(zip(_BUFFER, (history.tolist(), counts.tolist(), value.max_length)))
    if isinstance(value, dict):
        items = ((k, to_plain(v, f'{path}.{k}')) for k, v in value.items())
        return type(value)(items) if _is_plain_dict(value) else dict(items)
    if isinstance(value, (list, tuple)):
        items = [to_plain(v, f'{path}[{i}]') for i, v in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(
        f'checkpoint entry {path} is a {type(value).__module__}.'
        f'{type(value).__qualname__}, which could not be loaded again; keep tensors '
        'and plain values in state dicts and in the message hub'
    )


def _is_plain_dict(value: dict) -> bool:
    """Whether the dict's own type survives ``weights_only=True``."""
    return f'{type(value).__module__}.{type(value).__name__}' in (
        'builtins.dict',
        'collections.OrderedDict',
    )
