"""Fisher-weighted merging: each entry is decided by those who are sure of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ff_mm.merging.methods.by_entry import (
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
    scales = [1 / norm for norm in norms] if normalize else [1.0] * len(norms)

    def combine(key: str, values: Sequence[Tensor], _: Sequence[float]) -> Tensor:
        if key not in precisions:
            return mean_of(values, parts)
        found = zip(precisions.of(key, values[0].shape), scales, parts, strict=True)
        weighted = (f.mul(s).clamp_(min=floor).mul_(part) for f, s, part in found)
        return precision_mean(values, weighted, parts)[0]

    return by_entry(members, parts, combine)
