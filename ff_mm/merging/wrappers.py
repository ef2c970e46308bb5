"""What other programs put around the weights of a network, and how it is taken off.

Ingredients, ``tools/test.py`` and starting weights ask here, so a file means the same
to all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

#: Entries that hold the weights, the preferred first. In MMEngine's ``state_dict`` the
#: averaged weights are already in place. DINO evaluates the teacher.
ENTRIES = ('state_dict', 'model_state_dict', 'model', 'net', 'network', 'teacher')
#: Of DataParallel and AveragedModel, of ``torch.compile``.
PARALLEL, COMPILED = 'module.', '_orig_mod.'
#: Of Lightning, whose network is an attribute of a module, mostly called so.
LIGHTNING = ('model.', 'net.', 'network.')
_LIGHTNING_ENTRIES = ('pytorch-lightning_version', 'hyper_parameters')
_COMPILED = re.compile(r'(^|\.)_orig_mod\.')
# How many were averaged, of AveragedModel and of MMEngine's.
_COUNTS = ('n_averaged', 'steps')
# MMEngine's name for an entry of which the weights were swapped with the network's.
_SWAPPED = 'ema_state_dict'
_HALF = (torch.float16, torch.bfloat16)


def weights_entry(
    checkpoint: Mapping[str, Any], name: str | None = None
) -> tuple[str | None, Any]:
    """Returns what holds the weights, with its name; None: the checkpoint itself.

    Args:
        checkpoint: What was read of a file.
        name: Of the entry to take; None: the preferred one that is there.

    Raises:
        ValueError: There is no such entry; names those that are there.
    """
    if name is not None:
        if not _holds_tensors(checkpoint.get(name)):
            there = [key for key in checkpoint if _holds_tensors(checkpoint[key])]
            listed = ', '.join(map(repr, there)) or 'none'
            raise ValueError(f'no entry={name!r} with weights; there are: {listed}')
        return name, checkpoint[name]
    for known in ENTRIES:
        entry = checkpoint.get(known)
        if known == 'state_dict' and entry is not None:
            return known, entry
        if isinstance(entry, Mapping) and _only_tensors(entry):
            return known, entry
    return None, checkpoint


def entries_beside(name: str | None, checkpoint: Mapping[str, Any]) -> str:
    """Says which entry was taken, if others have tensors of the same names.

    Args:
        name: Of the one that was taken; None: none of them.
        checkpoint: All of them.

    Returns:
        Such as "of 'model', not of 'model_ema' (entry='model_ema' takes it)", or ''.
    """
    if name is None:
        return ''
    taken = _names(checkpoint, name)
    others = [key for key in checkpoint if key != name and _names(checkpoint, key)]
    others = [str(key) for key in others if _names(checkpoint, key) == taken]
    if not others:
        return ''
    if others == [_SWAPPED] and 'steps' in checkpoint[_SWAPPED]:
        return f'of {name!r}, the averaged weights, not of {_SWAPPED!r}, the last ones'
    listed = ', '.join(map(repr, others))
    return f'of {name!r}, not of {listed} (entry={others[0]!r} takes it)'


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
    counts = [count for count in _COUNTS if count in weights]
    others = {key: value for key, value in weights.items() if key not in counts}
    if counts and others and _all_begin(others, PARALLEL):
        weights = others
    weights = _without(weights, PARALLEL)
    if any(name in checkpoint for name in _LIGHTNING_ENTRIES):
        for prefix in LIGHTNING:
            if _all_begin(weights, prefix):
                return _without(_without(weights, prefix), PARALLEL)
    return weights


def halves(weights: Mapping[str, Tensor]) -> str | None:
    """Says how many weights are half floats, which :func:`as_float32` casts."""
    found = [value.dtype for value in weights.values() if value.dtype in _HALF]
    if not found:
        return None
    return f'{len(found)} weights of {found[0]} are cast to float32'


def as_float32(weight: Tensor) -> Tensor:
    """Casts half floats, as networks are evaluated and averaged in full."""
    return weight.float() if weight.dtype in _HALF else weight


def _names(checkpoint: Mapping[str, Any], name: str) -> frozenset[str]:
    entry = checkpoint[name]
    if not _holds_tensors(entry):
        return frozenset()
    tensors = {key: value for key, value in entry.items() if isinstance(value, Tensor)}
    return frozenset(unwrapped(tensors, checkpoint))


def _without(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if not _all_begin(weights, prefix):
        return weights
    return {key.removeprefix(prefix): value for key, value in weights.items()}


def _all_begin(names: Iterable[str], prefix: str) -> bool:
    return all(name.startswith(prefix) for name in names)


def _only_tensors(entry: Mapping[Any, Any]) -> bool:
    return bool(entry) and all(isinstance(value, Tensor) for value in entry.values())


def _holds_tensors(entry: Any) -> bool:
    return isinstance(entry, Mapping) and any(
        isinstance(key, str) and isinstance(value, Tensor)
        for key, value in entry.items()
    )
