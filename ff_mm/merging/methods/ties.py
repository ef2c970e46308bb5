"""TIES: small changes dropped, signs agreed on, and the mean of those that agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import (
    Piece,
    from_origin,
    require_positive,
    shares_of,
    task_vectors,
)
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict

# Magnitudes are counted by their first bits in double precision: the exponent and 6 of
# the mantissa. Those of one count differ by 1.6 % at most.
_SHIFT = 46
_COUNTS = 1 << (63 - _SHIFT)


def ties(
    members: Members,
    weights: Sequence[float],
    *,
    origin: AnyIngredient,
    keep: float = 0.2,
    scale: float = 1.0,
) -> StateDict:
    """Return the origin plus the scaled disjoint mean of trimmed task vectors.

    Of each task vector of d values the ``floor(keep * d)`` of largest magnitude stay,
    over all entries together, of equal ones the first. For each value the sign of
    their sum is elected, none where it is 0, and the mean taken of those that stay
    and have this sign. Where none does, the origin is left.

    Memory: as other merges, and the values of a task vector that are nearly as large as
    the smallest one that stays. Each member is read twice more.

    Args:
        members: Of one architecture.
        weights: How much of each, in sums and means; positive.
        origin: Where their training has begun.
        keep: The share of values that stays.
        scale: By how much the result is multiplied before it is added. Even with 1 it
            lies beyond the mean, as members without a say shrink nothing.

    References:
        Yadav et al., "TIES-merging: resolving interference when merging models",
        NeurIPS 2023 (arXiv 2306.01708). Their code differs: it keeps one value more,
        and all ties with it.
    """
    require_positive(weights, 'ties')
    shares = shares_of(weights)[:, None]
    trim = _Trim(members, origin, keep)

    def move(piece: Piece) -> Tensor:
        return scale * _disjoint_mean(trim(piece.vectors), shares)

    return from_origin(members, weights, origin, move)


def _disjoint_mean(vectors: Tensor, shares: Tensor) -> Tensor:
    """Returns the mean of those that have the sign of the sum of all."""
    # Sorted, so that the order of members does not decide whether a sum is 0.
    elected = (shares * vectors).sort(0).values.sum(0).sign()
    agrees = (vectors.sign() == elected) & (elected != 0)
    total = (shares * agrees).sum(0)
    found = (shares * vectors * agrees).sum(0) / total.clamp(min=torch.finfo().tiny)
    return torch.where(total > 0, found, 0.0)


class _Trim:
    """Keeps the values of largest magnitude; called with one piece after the other."""

    def __init__(self, members: Members, origin: AnyIngredient, keep: float) -> None:
        counts, size = _count(members, origin)
        # As decimals, since 0.29 * 100 is less than 29 in floating point.
        kept = math.floor(Fraction(repr(float(keep))) * size)
        self._all = kept == size
        if self._all:
            return
        self._least, self._ties = _thresholds(members, origin, counts, kept)

    def __call__(self, vectors: Tensor) -> Tensor:
        if self._all:
            return vectors
        size = vectors.abs()
        stays = size > self._least
        ties = (size == self._least) & (size > 0)
        first = ties & (ties.cumsum(1) <= self._ties)
        self._ties = self._ties - first.sum(1, keepdim=True)
        return vectors * (stays | first)


def _bins(sizes: Tensor) -> Tensor:
    """Numbers that grow with magnitudes; those of positive doubles do as integers."""
    return sizes.view(torch.int64) >> _SHIFT


def _count(members: Members, origin: AnyIngredient) -> tuple[Tensor, int]:
    """How many magnitudes of each member are in each bin, and how many there are."""
    counts = torch.zeros(len(members), _COUNTS, dtype=torch.int64)
    size = 0
    for piece in task_vectors(members, origin):
        bins = _bins(piece.vectors.abs())
        size += bins.shape[1]
        counts.scatter_add_(1, bins, torch.ones_like(bins))
    return counts, size


def _thresholds(
    members: Members, origin: AnyIngredient, counts: Tensor, kept: int
) -> tuple[Tensor, Tensor]:
    """The smallest magnitude of each member that stays, and how many stay of it."""
    number = len(members)
    if kept == 0:
        return torch.full((number, 1), math.inf), torch.zeros(number, 1)
    # How many are in a bin or above it.
    above = counts.flip(1).cumsum(1).flip(1)
    last = (above >= kept).sum(1) - 1
    wanted = (
        kept
        - above.gather(1, last[:, None]).squeeze(1)
        + counts.gather(1, last[:, None]).squeeze(1)
    )
    found: list[list[Tensor]] = [[] for _ in members]
    for piece in task_vectors(members, origin):
        sizes = piece.vectors.abs()
        for row, near in enumerate(_bins(sizes) == last[:, None]):
            if near.any():
                found[row].append(sizes[row, near])
    least, equal = [], []
    for row, parts in enumerate(found):
        sizes = torch.cat(parts)
        smallest = sizes.kthvalue(len(sizes) - int(wanted[row]) + 1).values
        least.append(smallest)
        equal.append(wanted[row] - (sizes > smallest).sum())
    return torch.stack(least)[:, None], torch.stack(equal)[:, None]
