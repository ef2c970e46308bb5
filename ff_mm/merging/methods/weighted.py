"""The mean with weights that the user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ff_mm.errors import ConfigError
from ff_mm.merging.ingredient import AnyIngredient, ahead
from ff_mm.merging.methods.mean import MeanSoFar
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict


def weighted(
    members: Members, shares: Sequence[float], *, weights: Mapping[str, float]
) -> StateDict:
    """Return the mean of the members by weights of their own.

    Args:
        members: Of one architecture.
        shares: How much of each, besides.
        weights: By the names of members, each 0 or more, in relation to each other.
    """
    so_far = WeightedSoFar(weights=weights)
    for member, share in zip(ahead(members), shares, strict=True):
        so_far.add(member, share)
    return so_far.pop()


def weight_of(name: str, *, weights: Mapping[str, float]) -> float:
    """Return the weight of a member.

    Raises:
        ConfigError: It has none.
    """
    if name not in weights:
        raise ConfigError(f"merge='weighted': weights: {name!r} must have one, too")
    return float(weights[name])


class WeightedSoFar:
    """The weighted mean of the members taken in so far, without those of weight 0."""

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._mean = MeanSoFar()

    def add(self, member: AnyIngredient, weight: float = 1.0) -> None:
        """Take in one more member."""
        weight *= weight_of(member.name, weights=self._weights)
        if weight:
            self._mean.add(member, weight)

    def with_one_more(
        self, member: AnyIngredient, out: StateDict | None = None
    ) -> StateDict:
        """Return the mean as if a member had been added, as much as it weighs."""
        weight = weight_of(member.name, weights=self._weights)
        if weight:
            return self._mean.with_one_more(member, out, weight)
        return self._mean.so_far(out)

    def pop(self, out: StateDict | None = None) -> StateDict:
        """Return the mean, freeing memory on the way."""
        return self._mean.pop(out)
