"""Fisher-weighted merging: each entry is decided by those who are sure of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ff_mm.merging.methods.by_entry import (
    Values,
    by_entry,
    mean_of,
    require_positive,
    shares_of,
)
from ff_mm.merging.methods.method import Members
from ff_mm.merging.methods.statistics import Precisions, Statistics, precision_mean
from ff_mm.merging.state_dict import StateDict


def merge_by_fisher(
    members: Members,
    weights: Sequence[float],
    *,
    fisher: Statistics,
    normalize: bool = True,
    floor: float = 1e-6,
) -> StateDict:
    """Return the mode of the product of Gaussians, one around each member.

    ``sum(w_i F_i theta_i) / sum(w_i F_i)``, entry by entry, with the diagonal Fisher
    information ``F_i`` of each member as its precision. Entries without one, which are
    no parameters, are the mean by the weights.

    Args:
        members: Of one task, head included.
        weights: How much of each; positive.
        fisher: The diagonal of the Fisher information of a member.
        normalize: Whether each is first divided by its L2 norm over all entries, so
            that no member counts for more in the whole.
        floor: The least precision, of all members: what nobody is sure of is then the
            mean, where the authors take the first member's.

    References:
        Matena and Raffel, "Merging models with Fisher-weighted averaging", NeurIPS 2022
        (arXiv 2111.09832).
    """
    require_positive(weights, 'fisher')
    parts = shares_of(weights).tolist()
    precisions = Precisions(members, fisher, 'Fisher information')
    norms = precisions.norms()
    scales = torch.tensor(
        [1 / norm if normalize else 1.0 for norm in norms], dtype=torch.float64
    )[:, None]
    shares = shares_of(weights)[:, None]

    def of_some(values: Tensor, precisions: Tensor, _: slice) -> Tensor:
        weighted = precisions.mul_(scales).clamp_(min=floor).mul_(shares)
        return precision_mean(values, weighted, parts)

    def combine(key: str, values: Values, _: Sequence[float]) -> Tensor:
        if key not in precisions:
            return mean_of(values, parts)
        return precisions.merge(key, values, of_some)

    return by_entry(members, parts, combine)
