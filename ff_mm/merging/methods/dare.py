"""DARE: most of what each member has changed is dropped, the rest made up for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import Piece, from_origin, shares_of
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict, is_statistic


def dare(
    members: Members,
    weights: Sequence[float],
    *,
    origin: AnyIngredient,
    drop: float = 0.5,
    seed: int = 0,
) -> StateDict:
    """Return the origin plus the mean of task vectors of which a part was dropped.

    Each value of a task vector is set to 0 with a probability, and divided by that of
    staying otherwise, so that the mean over seeds is the task vector. What is dropped
    depends on the seed, the member's name and the entry alone: neither the order of
    the members nor what else is merged changes it.

    Args:
        members: Of one architecture.
        weights: How much of each.
        origin: Where their training has begun.
        drop: The probability that a value is dropped; with 1 the origin is left.
        seed: Of what is dropped.

    References:
        Yu et al., "Language models are super Mario", ICML 2024 (arXiv 2311.03099).
    """
    shares = shares_of(weights)
    names = [member.name for member in members]

    def move(piece: Piece) -> Tensor:
        vectors = piece.vectors
        # Statistics are merged here only where nothing is dropped of anything.
        if drop > 0 and not is_statistic(piece.key):
            rows = [_kept(vectors.shape[1], drop, seed, name, piece) for name in names]
            vectors = vectors * torch.stack(rows)
        return shares @ vectors

    return from_origin(
        members, weights, origin, move, convex=drop == 0 and min(weights) > 0
    )


def leaves_the_hull(options: Mapping[str, Any]) -> bool:
    """Say whether the result need not lie between members and origin."""
    return options.get('drop', 0.5) > 0


def _kept(count: int, drop: float, seed: int, name: str, piece: Piece) -> Tensor:
    """Returns 0 where a value is dropped, and what the others are multiplied by."""
    text = repr([seed, name, piece.key, piece.number])
    digest = hashlib.sha256(text.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], 'big'))
    stays = torch.rand(count, generator=generator, dtype=torch.float64) >= drop
    return stays / (1 - drop) if drop < 1 else torch.zeros(count, dtype=torch.float64)
