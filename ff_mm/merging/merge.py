"""A merging method with its options and all that it needs, ready to be used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.merging.ingredient import AnyIngredient, ahead
from ff_mm.merging.methods import METHODS, Members, Method, Running, Supply
from ff_mm.merging.recipe import Merged, Part, Recipe, identity, mixed, needs_batch_norm
from ff_mm.merging.state_dict import StateDict, copy_weights


@dataclass(frozen=True)
class Merge:
    """How the members of a soup are combined.

    Attributes:
        type: The method, a key of :data:`ff_mm.merging.methods.METHODS`.
        options: Its options.
        supplies: What it needs besides the members, by name; see :meth:`supplied`.

    Raises:
        ConfigError: There is no such method, or it has no such option.
    """

    type: str = 'mean'
    options: Mapping[str, Any] = field(default_factory=dict)
    supplies: Mapping[str, Supply] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.type not in METHODS:
            raise ConfigError(
                f'no merging method {self.type!r}; there are {", ".join(METHODS)}'
            )
        known = self.method.options
        for name in self.options:
            if name not in known:
                there = f'there are {sorted(known)}' if known else 'it has none'
                raise ConfigError(f'merge={self.type!r}: no option {name!r}; {there}')
        for name, has_default in known.items():
            if not has_default and name not in self.options:
                raise ConfigError(f'merge={self.type!r}: give its option {name!r}')

    @classmethod
    def read(cls, value: Merge | str | Mapping[str, Any] | None) -> Merge:
        """Read what a config says.

        Args:
            value: A name; ``dict(type=name, ...)`` with options; None: the mean.

        Raises:
            ConfigError: Something else, or as the class does.
        """
        if isinstance(value, Merge):
            return value
        if isinstance(value, str) or value is None:
            return cls(value or 'mean')
        if isinstance(value, Mapping) and isinstance(value.get('type'), str):
            return cls(value['type'], {k: v for k, v in value.items() if k != 'type'})
        raise ConfigError(
            f"merge={value!r}: expected a name such as 'mean', or dict(type='mean')"
        )

    @property
    def method(self) -> Method:
        """The method."""
        return METHODS[self.type]

    @property
    def needs_batch_norm(self) -> bool:
        """Whether batch norm of what is merged must be re-estimated."""
        return self.method.needs_batch_norm(self.options)

    def prepare(self, members: Members) -> None:
        """Have at hand what merging needs of members; all processes call it."""
        for supply in self.supplies.values():
            if supply.prepare is not None:
                supply.prepare(members)

    def describe(self) -> dict[str, Any]:
        """Return what :meth:`read` takes, JSON-like."""
        return dict(type=self.type, **self.options)

    def supplied(self, supplies: Mapping[str, Supply]) -> Merge:
        """Return it with all that the method needs.

        Raises:
            ConfigError: Something that it needs is not to be had.
        """
        for name in self.method.needs:
            if name not in supplies:
                remedy = '; give origin=FILE in the config' if name == 'origin' else ''
                raise ConfigError(
                    f'merge={self.type!r} needs {name!r}, which is not to be had here'
                    f'{remedy}'
                )
        return replace(self, supplies={n: supplies[n] for n in self.method.needs})

    def load(
        self, members: Members, weights: Sequence[float], out: StateDict | None = None
    ) -> StateDict:
        """Return the merged weights.

        Args:
            members: Of one architecture, read one after the other.
            weights: How much of each.
            out: Where to write them; new tensors if None.
        """
        if self.method.is_mean and len(members) == 1:
            return members[0].load(out)
        running = self.start()
        for member, weight in zip(ahead(members), weights, strict=True):
            running.add(member, weight)
        return running.pop(out)

    def start(self) -> Running:
        """Return what merges one member after the other."""
        running = self.method.running
        return _Listed(self) if running is None else running()

    def call(self, members: Members, weights: Sequence[float]) -> StateDict:
        """Call the method itself."""
        supplies = {name: supply.value for name, supply in self.supplies.items()}
        return self.method.merge(members, weights, **supplies, **self.options)

    def recipe(self, members: Members, weights: Sequence[float]) -> Recipe:
        """Return what identifies the merged model, see :mod:`ff_mm.merging.recipe`."""
        recipes = [member.recipe for member in members]
        if self.method.is_mean:
            return mixed(zip(recipes, weights, strict=True), sum(weights))
        merged = [(identity(r), w) for r, w in zip(recipes, weights, strict=True)]
        if not self.method.ordered:
            merged.sort(key=repr)
        part: Part = Merged(
            self.type,
            json.dumps(self.options, sort_keys=True),
            tuple(merged),
            tuple((name, supply.content) for name, supply in self.supplies.items()),
            self.needs_batch_norm or any(map(needs_batch_norm, recipes)),
        )
        return {part: 1.0}


class _Listed:
    """The members that a method is given anew whenever its result is needed."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._members: list[AnyIngredient] = []
        self._weights: list[float] = []

    def add(self, member: AnyIngredient, weight: float = 1.0) -> None:
        self._members.append(member)
        self._weights.append(weight)

    def with_one_more(
        self, member: AnyIngredient, out: StateDict | None = None
    ) -> StateDict:
        return self._load([*self._members, member], [*self._weights, 1.0], out)

    def pop(self, out: StateDict | None = None) -> StateDict:
        return self._load(self._members, self._weights, out)

    def _load(
        self, members: Members, weights: Sequence[float], out: StateDict | None
    ) -> StateDict:
        merged = self._merge.call(members, weights)
        return merged if out is None else copy_weights(merged, out, self._merge.type)
