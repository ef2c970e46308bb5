"""What other programs put around the weights of a network, and how it is taken off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Entries that hold the weights, the preferred first.
_ENTRIES = ('state_dict', 'model_state_dict', 'model', 'net', 'network')
# Entries of Lightning's checkpoints, whose network is an attribute of a module.
_LIGHTNING = ('pytorch-lightning_version', 'hyper_parameters')
_COMPILED = re.compile(r'(^|\.)_orig_mod\.')
_HALF = (torch.float16, torch.bfloat16)


def weights_entry(checkpoint: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Returns what holds the weights, with its name; None: the checkpoint itself."""
    for name in _ENTRIES:
        entry = checkpoint.get(name)
        if name == 'state_dict' and entry is not None:
            return name, entry
        if isinstance(entry, Mapping) and _only_tensors(entry):
            return name, entry
    return None, checkpoint


def unwrapped(
    state_dict: Mapping[str, Tensor], checkpoint: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Takes off what is around the names of weights, if all have it.

    That of DataParallel and AveragedModel (``module.``), of ``torch.compile``
    (``_orig_mod.``), and in files of Lightning ``model.``, which elsewhere can be a
    network's own.
    """
    weights = {_COMPILED.sub(r'\1', key): value for key, value in state_dict.items()}
    if len(weights) < len(state_dict):  # it is no wrapper
        weights = dict(state_dict)
    if 'n_averaged' in weights and len(weights) > 1:
        others = {k: v for k, v in weights.items() if k != 'n_averaged'}
        weights = others if _all_begin(others, 'module.') else weights
    weights = _without(weights, 'module.')
    if any(name in checkpoint for name in _LIGHTNING):
        weights = _without(weights, 'model.')
    return weights


def as_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Casts half floats, as most networks are evaluated in full."""
    return {
        key: value.float() if value.dtype in _HALF else value
        for key, value in weights.items()
    }


def _without(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if not _all_begin(weights, prefix):
        return weights
    return {key.removeprefix(prefix): value for key, value in weights.items()}


def _all_begin(weights: Mapping[str, Tensor], prefix: str) -> bool:
    return all(key.startswith(prefix) for key in weights)


def _only_tensors(entry: Mapping[Any, Any]) -> bool:
    return bool(entry) and all(isinstance(value, Tensor) for value in entry.values())
