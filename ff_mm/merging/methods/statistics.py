"""What methods share that weigh entries by statistics of their members."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import Values, is_number
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import CheckpointError

#: Statistics of a member by the name of the entry, to be read in passing.
Statistics = Callable[[AnyIngredient], Mapping[str, Tensor]]

#: What is made of some values and precisions, see :meth:`Precisions.merge`.
Combined = Callable[[Tensor, Tensor, slice], Tensor]


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
        first = members[0].in_passing().items()
        self._keys = [key for key, value in first if is_number(value)]
        self._names = [member.name for member in members]
        self._what = what
        for key in self._keys:
            self._require(key)

    def __contains__(self, key: str) -> bool:
        return any(key in found for found in self.found)

    def merge(self, key: str, values: Values, combine: Combined) -> Tensor:
        """Returns an entry that is combined of a few values at a time.

        Args:
            key: The entry.
            values: Those of the members.
            combine: Given values and precisions of all members, each of shape (members,
                some values), and where these are, returns what comes of them.

        Raises:
            CheckpointError: A member's have another shape than the entry, or a value
                that is negative or not finite.
        """
        for name, found in zip(self._names, self.found, strict=True):
            if found[key].shape != values.shape:
                raise CheckpointError(
                    f'the {self._what} of {name!r}: {key} is {tuple(found[key].shape)},'
                    f' expected {tuple(values.shape)} as the weights'
                )
        parts = []
        start = 0
        pieces = zip(values.pieces(), Values(self.found, key).pieces(), strict=True)
        for rows, precisions in pieces:
            self._check(key, precisions)
            where = slice(start, start + rows.shape[1])
            parts.append(combine(rows, precisions, where))
            start = where.stop
        return torch.cat(parts).view(values.shape)

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
        norms = (torch.linalg.vector_norm(found[k], dtype=torch.float64) for k in keys)
        return math.hypot(*map(float, norms))

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

    def _check(self, key: str, precisions: Tensor) -> None:
        fine = ((precisions >= 0) & (precisions < torch.inf)).all(1)
        for name, is_fine in zip(self._names, fine.tolist(), strict=True):
            if not is_fine:
                raise CheckpointError(
                    f'the {self._what} of {name!r}: {key} has values that are negative '
                    'or not finite'
                )


def empty(name: str, what: str) -> str:
    """Says that statistics of a model are all zero, and why that is."""
    return (
        f'the {what} of {name!r} is zero in all entries: a model that has overfitted '
        'is certain of every training image, and a certain model has none; leave it '
        'out, take more images (soup.statistics.num_samples), or merge by the mean'
    )


def precision_mean(
    values: Tensor, precisions: Tensor, weights: Sequence[float]
) -> Tensor:
    """Returns the mean over members by their precisions, value by value.

    Where the members are equal it is their value, bit for bit; where nobody has a
    precision, it is the mean by the weights.

    Args:
        values: Of shape (members, values).
        precisions: Of the same shape.
        weights: Of the members.
    """
    mean, total, weight = values[0].clone(), precisions[0].clone(), weights[0]
    for number in range(1, len(values)):
        value = values[number]
        total += precisions[number]
        weight += weights[number]
        rest = weights[number] / weight
        share = torch.where(total > 0, precisions[number] / total, rest)
        # -0.0 between equal ones changes nothing, where 0.0 would change -0.0.
        mean += (value - mean).masked_fill_(value == mean, -0.0).mul_(share)
    return mean
