"""WiSE-FT: between the members' mean and what their training began with."""

from __future__ import annotations

from collections.abc import Sequence

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import from_origin, shares_of
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict


def wise_ft(
    members: Members,
    weights: Sequence[float],
    *,
    origin: AnyIngredient,
    alpha: float = 0.5,
) -> StateDict:
    """Return ``(1 - alpha) * origin + alpha * mean``.

    Args:
        members: Of one architecture.
        weights: How much of each.
        origin: Where their training has begun.
        alpha: From 0, the origin, to 1, the mean.

    References:
        Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022 (arXiv
        2109.01903).
    """
    factors = alpha * shares_of(weights)
    return from_origin(
        members,
        weights,
        origin,
        lambda piece: factors @ piece.vectors,
        convex=min(weights) > 0,
    )
