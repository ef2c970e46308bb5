"""The mean, by which the paper merges: all models in the memory of two."""

from __future__ import annotations

from collections.abc import Sequence

from ff_mm.merging.ingredient import AnyIngredient, ahead
from ff_mm.merging.mean import RunningMean
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict


def mean(members: Members, weights: Sequence[float]) -> StateDict:
    """Return the mean of the members by their weights.

    Memory: one sum in double precision and the result, however many members there are.

    References:
        Wortsman et al., "Model soups", ICML 2022 (arXiv 2203.05482).
    """
    so_far = MeanSoFar()
    for member, weight in zip(ahead(members), weights, strict=True):
        so_far.add(member, weight)
    return so_far.pop()


class MeanSoFar:
    """The mean of the members taken in so far, see :class:`RunningMean`.

    The sum is where members are added up. What is returned, and not written somewhere,
    is in main memory.
    """

    def __init__(self) -> None:
        self._mean = RunningMean()

    def add(self, member: AnyIngredient, weight: float = 1.0) -> None:
        """Take in one more member."""
        self._mean.add(member.to_sum(), weight)

    def with_one_more(
        self, member: AnyIngredient, out: StateDict | None = None, weight: float = 1.0
    ) -> StateDict:
        """Return the mean as if a member had been added."""
        return _of(self._mean.mean_with(member.to_sum(), weight, out), out)

    def so_far(self, out: StateDict | None = None) -> StateDict:
        """Return the mean, and go on."""
        return _of(self._mean.mean(out), out)

    def pop(self, out: StateDict | None = None) -> StateDict:
        """Return the mean, freeing memory on the way."""
        return _of(self._mean.pop(out), out)


def _of(mean: StateDict, out: StateDict | None) -> StateDict:
    if out is not None:
        return out
    return {key: value.cpu() for key, value in mean.items()}
