"""Merging entry by entry: the memory of the result and a few tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.mean import move_towards
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import (
    CheckpointError,
    StateDict,
    check_same_architecture,
)

#: ``combine(key, values, weights)`` returns an entry of the merged model, in double
#: precision. ``values`` are those of the members, read anew each time they are asked
#: for: keep no more of them than is needed.
Combine = Callable[[str, 'Values', Sequence[float]], Tensor]

# Batch norm's statistics: no parameters, so no task vector can be made of them.
_STATISTICS = ('running_mean', 'running_var')


class Values(Sequence[Tensor]):
    """One entry of each member, in double precision; read when it is asked for."""

    def __init__(self, models: Sequence[Mapping[str, Tensor]], key: str) -> None:
        self._models = models
        self._key = key

    def __len__(self) -> int:
        return len(self._models)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [wide(model[self._key]) for model in self._models[index]]
        return wide(self._models[index][self._key])


def wide(tensor: Tensor) -> Tensor:
    """Returns values in double precision; complex ones as pairs of real ones."""
    if tensor.is_complex():
        return torch.view_as_real(tensor.to(torch.complex128))
    return tensor.to(torch.float64)


@torch.no_grad()
def by_entry(members: Members, weights: Sequence[float], combine: Combine) -> StateDict:
    """Merge models entry by entry.

    Each entry is computed in double precision and cast once. Entries that are no
    floating point numbers are those of the first member. Running means and variances of
    batch norm are no parameters: whatever the method, they are the mean of the
    members', by their weights where all of these are positive, so that no variance is
    ever negative.

    Memory: the result, and what ``combine`` holds of one entry. Of files, hardly more
    is resident.

    Args:
        members: Of one architecture.
        weights: How much of each.
        combine: The method.

    Raises:
        ValueError: The members are not of one architecture.
        CheckpointError: A file cannot be read, or the result is not finite.
    """
    models = [member.in_passing() for member in members]
    _check(members, models)
    merged: StateDict = {}
    for key, like in models[0].items():
        if not (like.is_floating_point() or like.is_complex()):
            merged[key] = like.clone()
            continue
        values = Values(models, key)
        if key.endswith(_STATISTICS):
            entry = mean_of(
                values, weights if min(weights) > 0 else [1.0] * len(values)
            )
        else:
            entry = combine(key, values, weights)
        if not torch.isfinite(entry).all():
            raise CheckpointError(
                f'key {key!r} of the merged model is not finite; check the options of '
                'the merging method, such as its scale'
            )
        entry = torch.view_as_complex(entry) if like.is_complex() else entry
        merged[key] = torch.empty_like(like).copy_(entry)
    return merged


def mean_of(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Returns the weighted mean; of equal values these values, bit for bit."""
    mean, total = values[0].clone(), weights[0]
    for number in range(1, len(values)):
        total += weights[number]
        move_towards(mean, values[number], weights[number] / total)
    return mean


def _check(
    members: Sequence[AnyIngredient], models: Sequence[Mapping[str, Tensor]]
) -> None:
    first, *others = zip(members, models, strict=True)
    for member, model in others:
        if problems := check_same_architecture(
            model, first[1], member.name, first[0].name
        ):
            raise ValueError('; '.join(problems))
