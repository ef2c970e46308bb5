"""Short titles of models and runs: the hyper-parameters in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ff_mm.one_line import one_line

#: What a model has besides hyper-parameters.
NO_HYPER = ('stage', 'cycle', 'parent')
# Of others the value alone says what it is.
_SPEAK_FOR_THEMSELVES = ('augmentation',)
_ABSENT = object()


def hyper_titles(hypers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tells models or runs apart by their hyper-parameters.

    Args:
        hypers: Of each, JSON-like values by name; ``stage``, ``cycle`` and ``parent``
            are left out of account.

    Returns:
        As ``'lr 0.001, seed 1'``, with those hyper-parameters that are not the same
        everywhere; equal hyper-parameters have equal titles, ``''`` if nothing differs.
    """
    names = dict.fromkeys(key for hyper in hypers for key in hyper)
    values = {name: [hyper.get(name, _ABSENT) for hyper in hypers] for name in names}
    differing = [
        name
        for name, found in values.items()
        if name not in NO_HYPER and any(value != found[0] for value in found)
    ]
    return [', '.join(_part(hyper, name) for name in differing) for hyper in hypers]


def _part(hyper: Mapping[str, Any], name: str) -> str:
    if name not in hyper:
        return one_line(f'no {name}')
    value = hyper[name]
    text = f'{value:g}' if isinstance(value, float) else str(value)
    return one_line(text if name in _SPEAK_FOR_THEMSELVES else f'{name} {text}')
