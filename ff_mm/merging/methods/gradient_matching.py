"""Gradient matching: task arithmetic, less what curvature says it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import (
    Values,
    by_entry,
    flat,
    mean_of,
    require_positive,
    shares_of,
    wide,
)
from ff_mm.merging.methods.method import Members
from ff_mm.merging.methods.statistics import Precisions, Statistics, precision_mean
from ff_mm.merging.state_dict import StateDict


def gradient_matching(
    members: Members,
    weights: Sequence[float],
    *,
    origin: AnyIngredient,
    fisher: Statistics,
    alpha: float | None = None,
    delta: float = 1e-12,
    weight_decay: float = 0.0,
) -> StateDict:
    """Return ``theta_0 + sum(alpha_i (H_0 + H_i) (theta_i - theta_0)) / H``.

    ``H = H_0 + sum(alpha_i H_i)``, all diagonal: the minimiser of all losses together,
    as far as Hessians that are the Fisher information can tell. Curvatures are those of
    the mean loss over the training images, of which members of one task have equally
    many, so that their number cancels out. ``H_0`` is ``delta + weight_decay``, and has
    no Fisher information of the origin: that of the same images would count them again.

    The default ``alpha``, one divided by the number of members, is that of members
    trained on the same images: what comes out is then a mean of the members, by
    ``H_0 + H_i``, in which the origin has no part. For members trained on images of
    their own give ``alpha=1.0``.

    Entries without Fisher information, which are no parameters, are the mean.

    Args:
        members: The members.
        weights: How much of each; positive.
        origin: What their training has begun with.
        fisher: The diagonal of the Fisher information of a member.
        alpha: The coefficient of a member of mean weight.
        delta: Added to all curvatures.
        weight_decay: That of the members' training, where it pulls to the origin.

    References:
        Daheim et al., "Model merging by uncertainty-based gradient matching", ICLR 2024
        (arXiv 2310.12808).
    """
    prior = delta + weight_decay
    require_positive(weights, 'gradient_matching')
    parts = shares_of(weights).tolist()
    scale = 1.0 if alpha is None else alpha * len(parts)
    precisions = Precisions(members, fisher, 'Fisher information')
    if prior == 0:
        precisions.norms()  # of none is anybody sure
    start = origin.in_passing()

    shares = shares_of(weights)[:, None]

    def combine(key: str, values: Values, _: Sequence[float]) -> Tensor:
        if key not in precisions:
            return mean_of(values, parts)
        begin = flat(start[key])

        def of_some(values: Tensor, found: Tensor, where: slice) -> Tensor:
            weighted = found.add_(prior).mul_(shares)
            mean = precision_mean(values, weighted, parts)
            if scale == 1:
                return mean
            total = weighted.sum(0) * scale
            step = total / (total + (1 - scale) * prior)
            # Where nobody has any curvature: as far as the coefficients go.
            step = torch.where(total > 0, step, scale)
            own = wide(begin[where])
            return own + step * (mean - own)

        return precisions.merge(key, values, of_some)

    return by_entry(members, parts, combine, origin=origin)


def leaves_the_hull(options: Mapping[str, Any]) -> bool:
    """Says whether the result may be no mean of the members."""
    return options['alpha'] is not None
