"""Members and origins of a few numbers."""

from __future__ import annotations

from typing import Any

import torch

from ff_mm.merging import Ingredient
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Supply
from ff_mm.merging.state_dict import StateDict


def member(name: str, **weights: Any) -> Ingredient:
    """A model in memory; lists are of double precision."""
    tensors = {
        key.replace('__', '.'): value
        if isinstance(value, torch.Tensor)
        else torch.tensor(value, dtype=torch.float64)
        for key, value in weights.items()
    }
    return Ingredient(name, lambda: tensors)


def vectors(*rows: Any) -> list[Ingredient]:
    """Models ``m0``, ``m1`` of one entry ``w``."""
    return [member(f'm{number}', w=row) for number, row in enumerate(rows)]


def merged(
    merge: Any,
    members: list[Ingredient],
    origin: AnyIngredient | None = None,
    weights: list[float] | None = None,
) -> StateDict:
    """The merged weights."""
    made = Merge.read(merge)
    supplies = {} if origin is None else dict(origin=Supply(origin, 'origin'))
    needed = {name: supplies[name] for name in made.method.needs}
    return made.supplied(needed).load(members, weights or [1.0] * len(members))


def merged_w(*args: Any, **kwargs: Any) -> list[float]:
    """The values of ``w`` of the merged weights."""
    return merged(*args, **kwargs)['w'].tolist()
