"""What methods share that weigh entries by statistics of their members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import CheckpointError

#: Statistics of a member by the name of the entry, to be read in passing.
Statistics = Callable[[AnyIngredient], Mapping[str, Tensor]]


class Precisions:
    """A statistic of all members for each entry: how sure each is of its values.

    Args:
        members: The members.
        statistics: Gives what there is of a member; entries that are no parameters are
            missing in all of them.
        what: What it is, for messages.
    """

    def __init__(self, members: Members, statistics: Statistics, what: str) -> None:
        self.found = [statistics(member) for member in members]
        # Of all entries that are merged: some may be left out.
        self._keys = list(members[0].in_passing())
        self._names = [member.name for member in members]
        self._what = what
        for key in self._keys:
            self._require(key)

    def __contains__(self, key: str) -> bool:
        return any(key in found for found in self.found)

    def of(self, key: str, shape: torch.Size) -> Iterator[Tensor]:
        """Yields that of each member for one entry, in double precision.

        Raises:
            CheckpointError: A member lacks what another has, or has another shape, or
                a value that is negative or not finite.
        """
        for name, found in zip(self._names, self.found, strict=True):
            yield self._checked(name, key, found, shape)

    def norms(self) -> list[float]:
        """Returns the L2 norm over all entries of each member.

        Raises:
            CheckpointError: A member of which all are zero.
        """
        norms = [self._norm(found) for found in self.found]
        for name, norm in zip(self._names, norms, strict=True):
            if norm == 0:
                raise CheckpointError(empty(name, self._what))
        return norms

    def _norm(self, found: Mapping[str, Tensor]) -> float:
        keys = (key for key in self._keys if key in found)
        return sum(float(found[key].double().square().sum()) for key in keys) ** 0.5

    def _require(self, key: str) -> None:
        """Refuses an entry that some members have, and others lack."""
        lacking = [
            name
            for name, found in zip(self._names, self.found, strict=True)
            if key not in found
        ]
        if lacking and key in self:
            raise CheckpointError(
                f'the {self._what} of {lacking[0]!r} lacks the key {key!r}'
            )

    def _checked(
        self, name: str, key: str, found: Mapping[str, Tensor], shape: torch.Size
    ) -> Tensor:
        precision = found[key].to(torch.float64)
        if precision.shape != shape:
            raise CheckpointError(
                f'the {self._what} of {name!r}: {key} is {tuple(precision.shape)}, '
                f'expected {tuple(shape)} as the weights'
            )
        if not bool(((precision >= 0) & (precision < torch.inf)).all()):
            raise CheckpointError(
                f'the {self._what} of {name!r}: {key} has values that are negative or '
                'not finite'
            )
        return precision


def empty(name: str, what: str) -> str:
    """Says that statistics of a model are all zero, and why that is."""
    return (
        f'the {what} of {name!r} is zero in all entries: a model that has overfitted '
        'is certain of every training image, and a certain model has none; leave it '
        'out, take more images (soup.statistics.num_samples), or merge by the mean'
    )


def precision_mean(
    values: Sequence[Tensor], precisions: Iterable[Tensor], weights: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Returns the mean of values by their precisions, and the sum of these.

    All entry by entry, one member after the other. Where values are equal the mean is
    that value, bit for bit; where nobody has a precision, it is the mean by the
    weights.
    """
    mean, total, weight = torch.zeros(()), torch.zeros(()), 0.0
    for number, precision in enumerate(precisions):
        value = values[number]
        total = total + precision
        weight += weights[number]
        if number == 0:
            mean = value.clone()
            continue
        rest = weights[number] / weight if weight else 0.0
        share = torch.where(total > 0, precision / total, rest)
        # -0.0 between equal ones changes nothing, where 0.0 would change -0.0.
        step = (value - mean).masked_fill_(value == mean, -0.0)
        mean += share * step
    return mean, total
