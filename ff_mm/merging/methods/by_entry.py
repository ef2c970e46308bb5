"""Merging entry by entry: the memory of the result and a few tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from ff_mm.errors import FFMMError
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.mean import move_towards
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import (
    CheckpointError,
    StateDict,
    check_same_architecture,
    is_statistic,
)

#: ``combine(key, values, weights)`` returns an entry of the merged model, in double
#: precision. ``values`` are those of the members, read anew each time they are asked
#: for: keep no more of them than is needed.
Combine = Callable[[str, 'Values', Sequence[float]], Tensor]

# Values of each model at a time: 48 models take 12 MB in double precision.
_PIECE = 1 << 15


class Values(Sequence[Tensor]):
    """One entry of each member, in double precision; read when it is asked for."""

    def __init__(self, models: Sequence[Mapping[str, Tensor]], key: str) -> None:
        self._models = models
        self._key = key

    def __len__(self) -> int:
        return len(self._models)

    @property
    def shape(self) -> torch.Size:
        """That of the entry, as the members have it."""
        return self._models[0][self._key].shape

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [wide(model[self._key]) for model in self._models[index]]
        return wide(self._models[index][self._key])

    def pieces(self) -> Iterator[Tensor]:
        """Yield a few values of all members at once, of shape (members, values)."""
        entries = [flat(model[self._key]) for model in self._models]
        for start in range(0, len(entries[0]), _PIECE):
            stop = start + _PIECE
            yield torch.stack([wide(entry[start:stop]) for entry in entries])


def wide(tensor: Tensor) -> Tensor:
    """Returns values in double precision; complex ones as pairs of real ones."""
    if tensor.is_complex():
        return torch.view_as_real(tensor.to(torch.complex128))
    return tensor.to(torch.float64)


def flat(tensor: Tensor) -> Tensor:
    """Returns values one after the other; complex ones as two real ones each."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.reshape(-1)


def layer_of(key: str) -> str:
    """Returns the layer of an entry: ``'fc'`` of ``'fc.weight'`` and ``'fc.bias'``."""
    layer, _, last = key.rpartition('.')
    return layer if last in ('weight', 'bias') or is_statistic(key) else key


def is_number(tensor: Tensor) -> bool:
    """Says whether an entry is of numbers that can be merged."""
    return tensor.is_floating_point() or tensor.is_complex()


@torch.no_grad()
def by_entry(
    members: Members,
    weights: Sequence[float],
    combine: Combine,
    *,
    origin: AnyIngredient | None = None,
    convex: bool = False,
) -> StateDict:
    """Merge models entry by entry.

    Each entry is computed in double precision and cast once. Entries that are no
    floating point numbers are those of the first member, and what is equal in all
    models stays bit for bit. Running means and variances of batch norm are no
    parameters: unless the merged parameters are a convex combination, whose weights
    these then have, they are the mean of the members', by their weights where all of
    these are positive. So no variance is ever negative.

    Memory: the result, and what ``combine`` holds of one entry. Of files, hardly more
    is resident.

    Args:
        members: Of one architecture.
        weights: How much of each.
        combine: The method.
        origin: What the method looks at besides, of the same architecture.
        convex: Whether the result is a convex combination of members and origin.

    Raises:
        ValueError: The members, or the origin, are not of one architecture.
        CheckpointError: A file cannot be read, or the result is not finite.
    """
    models = [member.in_passing() for member in members]
    others = [] if origin is None else [origin.in_passing()]
    names = [member.name for member in members]
    _check([*models, *others], [*names, 'the origin'][: len(models + others)])
    merged: StateDict = {}
    for key, like in models[0].items():
        if not is_number(like) or _is_equal_in_all([*models, *others], key):
            merged[key] = like.clone()
            continue
        values = Values(models, key)
        if is_statistic(key) and not convex:
            entry = mean_of(
                values, weights if min(weights) > 0 else [1.0] * len(values)
            )
        else:
            entry = combine(key, values, weights)
        entry = torch.view_as_complex(entry) if like.is_complex() else entry
        merged[key] = torch.empty_like(like).copy_(entry)
        if not torch.isfinite(wide(merged[key])).all():
            raise CheckpointError(
                f'key {key!r} of the merged model is not finite; check the options of '
                'the merging method, such as its scale'
            )
    return merged


@dataclass(frozen=True)
class Piece:
    """Values of an entry, a few at a time, as they differ from the origin's.

    Attributes:
        key: The entry.
        number: The how manieth piece of it, from 0.
        vectors: Member less origin, in double precision, of shape (members, values).
    """

    key: str
    number: int
    vectors: Tensor


def from_origin(
    members: Members,
    weights: Sequence[float],
    origin: AnyIngredient,
    move: Callable[[Piece], Tensor],
    *,
    convex: bool = False,
) -> StateDict:
    """Move the origin by what a method makes of the members' task vectors.

    Args:
        members: As :func:`by_entry` takes them, like all else.
        weights: How much of each.
        origin: Where their training has begun.
        move: By how much the values of a piece are moved; called in the order of
            entries and pieces.
        convex: Whether the result is a convex combination.

    Raises:
        ValueError: As :func:`by_entry`.
    """
    models = [member.in_passing() for member in [*members, origin]]

    def combine(key: str, values: Values, _: Sequence[float]) -> Tensor:
        entry = wide(models[0][key]).clone(memory_format=torch.contiguous_format)
        parts = entry.view(-1).split(_PIECE)
        for number, rows in enumerate(Values(models, key).pieces()):
            moved = move(Piece(key, number, rows[:-1] - rows[-1]))
            torch.add(rows[-1], moved, out=parts[number])
        return entry

    return by_entry(members, weights, combine, origin=origin, convex=convex)


def task_vectors(members: Members, origin: AnyIngredient) -> Iterator[Piece]:
    """Yields all that training has changed, piece by piece, in order; no statistics."""
    models = [member.in_passing() for member in [*members, origin]]
    for key, like in models[0].items():
        if is_number(like) and not is_statistic(key):
            for number, rows in enumerate(Values(models, key).pieces()):
                vectors = rows[:-1] - rows[-1]
                # Infinite ones have not changed either.
                vectors.masked_fill_(rows[:-1] == rows[-1], 0.0)
                yield Piece(key, number, vectors)


def shares_of(weights: Sequence[float]) -> Tensor:
    """Returns weights of sum 1, in double precision.

    Raises:
        FFMMError: They add up to nothing positive.
    """
    total = math.fsum(weights)
    if not total > 0:
        raise FFMMError(
            f'the weights of the members, {list(weights)}, add up to {total}; expected '
            'something positive'
        )
    return torch.tensor(weights, dtype=torch.float64) / total


def require_positive(weights: Sequence[float], method: str) -> None:
    """Refuse weights with which a method means nothing.

    Raises:
        FFMMError: One is not positive.
    """
    if not min(weights) > 0:
        raise FFMMError(
            f'merge={method!r}: the weights of the members are {list(weights)}; this '
            "method knows positive ones alone, others are for 'mean'"
        )


def mean_of(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Returns the weighted mean; of equal values these values, bit for bit."""
    mean, total = values[0].clone(), weights[0]
    for number in range(1, len(values)):
        total += weights[number]
        move_towards(mean, values[number], weights[number] / total)
    return mean


def _is_equal_in_all(models: Sequence[Mapping[str, Tensor]], key: str) -> bool:
    first, *others = (model[key] for model in models)
    if first.itemsize == 1:  # with which torch computes nothing
        first, *others = map(wide, (first, *others))
    return all(torch.equal(first, other) for other in others)


def _check(models: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> None:
    for model, name in zip(models[1:], names[1:], strict=True):
        if problems := check_same_architecture(model, models[0], name, names[0]):
            raise ValueError('; '.join(problems))
