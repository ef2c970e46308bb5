"""What a merging method is: a function, and what it needs and promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, Protocol

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.options import Kind
from ff_mm.merging.state_dict import StateDict

Members = Sequence[AnyIngredient]


class Running(Protocol):
    """A merged model that takes one member after the other."""

    def add(self, member: AnyIngredient, weight: float = 1.0) -> None:
        """Take in one more member."""

    def with_one_more(
        self, member: AnyIngredient, out: StateDict | None = None
    ) -> StateDict:
        """Return the weights as if a member of weight 1 had been added."""

    def pop(self, out: StateDict | None = None) -> StateDict:
        """Return the weights, and forget the members."""


@dataclass(frozen=True)
class Supply:
    """What a method needs besides the members, such as their origin.

    Attributes:
        value: What the method is given.
        content: What it consists of, such as a SHA-256: part of the identity of all
            that is made with it.
        prepare: Given members, has all that will be asked for of them at hand. Called
            by all processes at once, before any of them merges; None: nothing to do.
    """

    value: Any
    content: str
    prepare: Callable[[Members], None] | None = None


@dataclass(frozen=True)
class Method:
    """A way to combine the weights of several models into one.

    Attributes:
        merge: ``merge(members, weights, **needs, **options)`` returns new weights.
            ``members`` are read one by one, as often as it takes, by ``in_passing()``;
            ``weights`` says how much of each is wanted. What it needs and its options
            are keyword-only parameters.
        needs: Names of what it needs besides: ``'origin'`` is the model that all
            members started from. Others are given by who calls, as a function of a
            member, such as its Fisher information.
        is_mean: Whether the result is the mean of the members by their weights. Then
            models of equal weights are equal, however they came about.
        batch_norm: Whether batch-norm statistics must be re-estimated before the result
            is of use: wherever it is no convex combination of the members, since
            extrapolated variances can be negative. Where the options decide, a function
            of these.
        ordered: Whether the order of the members plays a role.
        running: Given the options, makes what merges one member at a time, where that
            saves reading all of them again; the weights are the same, bit for bit.
        kinds: What its options may be. A list of numbers, where an option is a
            :class:`~ff_mm.merging.methods.options.Number`, is a search on validation.
        by_name: Whether it goes by the names of members, which are then part of the
            identity of what is made.
        weight_of: ``weight_of(name, **options)`` is the weight that a mean gives to
            a member, besides how much of it is wanted; None: 1.
    """

    merge: Callable[..., StateDict]
    needs: tuple[str, ...] = ()
    is_mean: bool = False
    batch_norm: bool | Callable[[Mapping[str, Any]], bool] = False
    ordered: bool = True
    running: Callable[..., Running] | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    by_name: bool = False
    weight_of: Callable[..., float] | None = None

    def needs_batch_norm(self, options: Mapping[str, Any]) -> bool:
        """Say whether batch norm must be re-estimated, given the options."""
        if callable(self.batch_norm):
            return self.batch_norm(options)
        return self.batch_norm

    @property
    def options(self) -> dict[str, bool]:
        """Names of its options, and whether each has a default."""
        return {
            name: parameter.default is not Parameter.empty
            for name, parameter in self._parameters().items()
        }

    @property
    def defaults(self) -> dict[str, Any]:
        """What its options are that are not given."""
        return {
            name: parameter.default
            for name, parameter in self._parameters().items()
            if parameter.default is not Parameter.empty
        }

    def _parameters(self) -> dict[str, Parameter]:
        return {
            name: parameter
            for name, parameter in signature(self.merge).parameters.items()
            if parameter.kind is Parameter.KEYWORD_ONLY and name not in self.needs
        }
