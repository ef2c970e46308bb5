"""Task arithmetic: the origin, moved by a sum of what the members have learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import from_origin, shares_of
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict


def task_arithmetic(
    members: Members,
    weights: Sequence[float],
    *,
    origin: AnyIngredient,
    scale: float = 1.0,
    coefficients: Mapping[str, float] | None = None,
) -> StateDict:
    """Return the origin plus ``scale / n`` times the sum of the task vectors.

    So a scale of 1 is the mean whatever the number of members, less is on the way to
    it from the origin, more is beyond it.

    Args:
        members: Of one architecture.
        weights: How much of each; ``1 / n`` is its share of all.
        origin: Where their training has begun.
        scale: The paper's lambda times n.
        coefficients: Of task vectors, by the names of members, of any sign; others'
            are 1.

    References:
        Ilharco et al., "Editing models with task arithmetic", ICLR 2023 (arXiv
        2212.04089).
    """
    given = coefficients or {}
    of_members = [given.get(member.name, 1.0) for member in members]
    factors = torch.tensor(of_members, dtype=torch.float64) * shares_of(weights) * scale
    convex = not leaves_the_hull(dict(scale=scale, coefficients=coefficients))
    return from_origin(
        members,
        weights,
        origin,
        lambda piece: factors @ piece.vectors,
        convex=convex and min(weights) > 0,
    )


def leaves_the_hull(options: Mapping[str, Any]) -> bool:
    """Say whether the result need not lie between members and origin."""
    coefficients = (options.get('coefficients') or {}).values()
    scale = options.get('scale', 1.0)
    return min([0.0, *coefficients]) < 0 or scale * max([1.0, *coefficients]) > 1
