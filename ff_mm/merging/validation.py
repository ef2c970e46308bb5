"""What a soup may ask about validation besides scores; who evaluates provides it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ff_mm.errors import FFMMError
from ff_mm.merging.candidate import Candidate
from ff_mm.merging.ingredient import AnyIngredient, ahead

T = TypeVar('T')


class Ensembles(Protocol):
    """What models say of each case of validation, and what their means score."""

    def predictions(self, models: Sequence[Candidate], average: str) -> list[Tensor]:
        """Return what each model says, in double precision and one shape.

        Args:
            models: Each is evaluated once, whatever is asked later.
            average: What the mean is taken of: ``'probabilities'`` or ``'logits'``.
        """

    def score(self, mean: Tensor, average: str) -> float:
        """Return the validation metric of a mean of such predictions."""


class Margins(Protocol):
    """How sure it is on validation that one model is better than another."""

    def agreement(self, new: Candidate, old: Candidate) -> float:
        """Return in which part of paired resamples the new one is better."""


class Fold(NamedTuple):
    """One of the parts into which the cases of validation are cut, by groups.

    Attributes:
        number: Which one, from 0.
        of: How many there are.
    """

    number: int
    of: int


@dataclass(frozen=True)
class Slopes:
    """How the loss of validation changes around a mean of members.

    Attributes:
        loss: The loss itself; of the cases that are not in a fold, if one is given.
        held_out: That of the cases in the fold; None: no fold was given.
        scale: Its derivative with regard to what the logits are multiplied by.
        members: Inner products of its gradient and the weights of each member, in
            double precision: of shape (members, 1), or (members, tensors).
    """

    loss: float
    held_out: float | None
    scale: float
    members: Tensor


class Losses(Protocol):
    """The loss of a model's own head on validation, all cases as one batch."""

    def tensors(self, model: Candidate) -> list[str]:
        """Return the names of the entries that a gradient has, in their order."""

    def slopes(
        self,
        model: Candidate,
        members: Sequence[AnyIngredient],
        scale: float = 1.0,
        fold: Fold | None = None,
        by_tensor: bool = False,
    ) -> Slopes:
        """Return the loss of a model, and how it changes with what it is made of.

        Args:
            model: A mean of the members.
            members: What it is made of, all of them read one by one.
            scale: What the logits are multiplied by.
            fold: Cases of which the gradient is not taken.
            by_tensor: Whether inner products are wanted of each tensor.
        """


def inner_products(
    gradient: Mapping[str, Tensor],
    members: Sequence[AnyIngredient],
    by_tensor: bool = False,
) -> Tensor:
    """Return inner products of a gradient and the weights of members, read one by one.

    Memory: that of one member, if it is no file, and two tensors in double precision.

    Args:
        gradient: By name, on any device.
        members: Models that have these entries.
        by_tensor: Whether they are wanted of each tensor.

    Returns:
        As the attribute of :class:`Slopes`.
    """
    rows = []
    for member in ahead(members):
        weights = member.in_passing()
        row = [
            torch.dot(
                slope.reshape(-1).double(),
                weights[name].to(slope.device).reshape(-1).double(),
            ).item()
            for name, slope in gradient.items()
        ]
        rows.append(row if by_tensor else [math.fsum(row)])
    return torch.tensor(rows, dtype=torch.float64)


def provided(found: T | None, soup: str, what: str, argument: str) -> T:
    """Return what a scorer provides.

    Raises:
        FFMMError: It provides no such thing.
    """
    if found is None:
        raise FFMMError(
            f'soup {soup!r} needs {what} of validation, which its scorer cannot give; '
            f'give Scorer({argument}=...)'
        )
    return found
