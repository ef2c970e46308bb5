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
# Of sums of many numbers in double precision, in relation to their magnitudes.
_ROUNDING = 1e-12


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
    parts = shares * vectors
    sums = parts.sum(0)
    # In one order, so that the order of members does not decide whether a sum is 0.
    unsure = sums.abs() < _ROUNDING * parts.abs().sum(0)
    if unsure.any():
        sums[unsure] = parts[:, unsure].sort(0).values.sum(0)
    agrees = (parts * sums.sign() > 0).double()
    total = (shares * agrees).sum(0)
    return (parts * agrees).sum(0) / total.clamp(min=torch.finfo(torch.double).tiny)


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
        ties = size == self._least
        if ties.any():
            ties &= ties.cumsum(1) <= self._ties
            self._ties = self._ties - ties.sum(1, keepdim=True)
            stays |= ties
        return vectors * stays


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
    last = (above >= kept).sum(1, keepdim=True) - 1
    near = counts.gather(1, last)
    wanted = (kept - above.gather(1, last) + near).squeeze(1).tolist()
    least, equal = [], []
    for sizes, count in zip(
        _those_of(members, origin, last, near), wanted, strict=True
    ):
        smallest = sizes.kthvalue(len(sizes) - count + 1).values
        least.append(smallest)
        equal.append(count - (sizes > smallest).sum())
    return torch.stack(least)[:, None], torch.stack(equal)[:, None]


def _those_of(
    members: Members, origin: AnyIngredient, bins: Tensor, counts: Tensor
) -> list[Tensor]:
    """The magnitudes of each member that are in its bin, of which there are so many."""
    found = [torch.empty(count, dtype=torch.float64) for count in counts.flatten()]
    filled = [0] * len(found)
    for piece in task_vectors(members, origin):
        sizes = piece.vectors.abs()
        inside = _bins(sizes) == bins
        for row, number in enumerate(inside.sum(1).tolist()):
            start, filled[row] = filled[row], filled[row] + number
            found[row][start : filled[row]] = sizes[row, inside[row]]
    return found
