"""A merging method with its options and all that it needs, ready to be used."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging.ingredient import AnyIngredient, ahead
from ff_mm.merging.leave_out import (
    LEAVE_OUT,
    Rest,
    RestSoFar,
    check_patterns,
    whole,
)
from ff_mm.merging.methods import METHODS, Members, Method, Running, Supply
from ff_mm.merging.methods.options import PATTERNS, Number, PerMember
from ff_mm.merging.recipe import (
    Identity,
    Merged,
    Part,
    Recipe,
    identity,
    mixed,
    needs_batch_norm,
    text_of,
)
from ff_mm.merging.state_dict import StateDict, copy_weights


@dataclass(frozen=True)
class Merge:
    """How the members of a soup are combined.

    Attributes:
        type: The method, a key of :data:`ff_mm.merging.methods.METHODS`.
        options: Its options, and of all methods ``leave_out``: patterns of names of
            entries that are the first member's. A list of numbers, where an option is
            a number, is a search, see :meth:`variants`.
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
            if name not in known and name != LEAVE_OUT:
                there = f'there are {sorted(known)}' if known else 'it has none'
                raise ConfigError(f'merge={self.type!r}: no option {name!r}; {there}')
            self._check_option(name, self.options[name])
        for name, has_default in known.items():
            if not has_default and name not in self.options:
                raise ConfigError(f'merge={self.type!r}: give its option {name!r}')

    def _check_option(self, name: str, value: Any) -> None:
        kind = PATTERNS if name == LEAVE_OUT else self.method.kinds.get(name)
        if kind is None or (name in self.method.defaults and value is None):
            return
        values = [value]
        expected = kind.expected()
        if isinstance(kind, Number):
            values = _listed(value)
            expected += ', or a list of these to search'
        if not values or not all(map(kind.fits, values)):
            raise ConfigError(
                f'merge={self.type!r}: {name}={value!r}: expected {expected}'
            )

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
            options = {k: _plain(v) for k, v in value.items() if k != 'type'}
            if not options.get(LEAVE_OUT, True):
                del options[LEAVE_OUT]
            return cls(value['type'], options)
        raise ConfigError(
            f"merge={value!r}: expected a name such as 'mean', or dict(type='mean')"
        )

    @property
    def method(self) -> Method:
        """The method."""
        return METHODS[self.type]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Patterns of the names of entries that are the first member's."""
        given = self.options.get(LEAVE_OUT) or ()
        return (given,) if isinstance(given, str) else tuple(given)

    @property
    def own_options(self) -> dict[str, Any]:
        """All options of the method itself, as it is given them."""
        given = {k: v for k, v in self.options.items() if k != LEAVE_OUT}
        read = {name: self._read(name, value) for name, value in given.items()}
        return {**self.method.defaults, **read}

    def _read(self, name: str, value: Any) -> Any:
        kind = self.method.kinds.get(name)
        single = isinstance(kind, Number) and kind.fits(value)
        return kind.read(value) if isinstance(kind, Number) and single else value

    @property
    def searched(self) -> dict[str, list[Any]]:
        """Values to be tried by the names of the options."""
        kinds = self.method.kinds
        return {
            name: list(value)
            for name, value in self.options.items()
            if isinstance(kinds.get(name), Number) and isinstance(value, list | tuple)
        }

    def variants(self) -> list[Merge]:
        """Return it with each combination of the values to be tried, in order."""
        searched = self.searched
        return [
            replace(
                self,
                options={**self.options, **dict(zip(searched, values, strict=True))},
            )
            for values in product(*searched.values())
        ]

    @property
    def needs_batch_norm(self) -> bool:
        """Whether batch norm of what is merged must be re-estimated."""
        return any(
            self.method.needs_batch_norm(variant.own_options)
            for variant in self.variants()
        )

    def is_mean_of(self, count: int) -> bool:
        """Say whether so many members are merged by adding them up."""
        return self.method.is_mean and (count == 1 or not self.left_out)

    def weights_of(self, names: Sequence[str], weights: Sequence[float]) -> list[float]:
        """Return the weights that a mean gives to members.

        Args:
            names: Those of the members.
            weights: How much of each is wanted.

        Raises:
            ConfigError: It goes by names, and one is missing.
        """
        of = self.method.weight_of
        if of is None or len(names) == 1:
            return list(weights)
        own = self.own_options
        found = [w * of(n, **own) for n, w in zip(names, weights, strict=True)]
        if not any(found):
            raise FFMMError(
                f'merge={self.type!r}: all of {", ".join(names)} have a weight of 0; '
                'give one of them more'
            )
        return found

    def check(self, entries: Collection[str], file: str = 'the model') -> None:
        """Refuse options that do not fit the models.

        Args:
            entries: Names of the entries of their state dicts.
            file: What has them, for messages.

        Raises:
            ConfigError: They do not fit.
        """
        if self.left_out:
            check_patterns(entries, self.left_out, file)

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse options by name that do not fit the members there can be.

        Raises:
            ConfigError: They do not fit.
        """
        for option, kind in self.method.kinds.items():
            given = self.options.get(option)
            if not isinstance(kind, PerMember) or given is None:
                continue
            if problem := kind.problem(given, names):
                raise ConfigError(f'merge={self.type!r}: {option}: {problem}')

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
        self.weights_of([member.name for member in members], weights)
        running = self.start()
        for member, weight in zip(ahead(members), weights, strict=True):
            running.add(member, weight)
        return running.pop(out)

    def start(self) -> Running:
        """Return what merges one member after the other."""
        running = self.method.running
        started = _Listed(self) if running is None else running(**self.own_options)
        return RestSoFar(started, self.left_out) if self.left_out else started

    def call(self, members: Members, weights: Sequence[float]) -> StateDict:
        """Call the method itself."""
        if self.searched:
            raise FFMMError(
                f'merge={self.describe()}: values to be tried are for the levels of '
                'ff_mm.merging.hierarchical; give single ones'
            )
        supplies = {n: self._supply(supply) for n, supply in self.supplies.items()}
        return self.method.merge(members, weights, **supplies, **self.own_options)

    def _supply(self, supply: Supply) -> Any:
        """What a method is given, of which it sees no entry that is left out."""
        value = supply.value
        if not self.left_out:
            return value
        if not callable(value):
            return Rest(value, self.left_out)
        return lambda member: value(whole(member))

    def recipe(self, members: Members, weights: Sequence[float]) -> Recipe:
        """Return what identifies the merged model, see :mod:`ff_mm.merging.recipe`."""
        recipes = [member.recipe for member in members]
        names = [member.name for member in members]
        if self.is_mean_of(len(members)):
            shares = self.weights_of(names, weights)
            kept = [(r, s) for r, s in zip(recipes, shares, strict=True) if s]
            return mixed(kept, sum(shares))
        by_name = self.method.by_name or self.method.weight_of is not None
        merged = [
            (identity(recipe), weight, name if by_name else '')
            for recipe, weight, name in zip(recipes, weights, names, strict=True)
        ]
        if not self.method.ordered:
            # Of what is left out the first one is special.
            first = 1 if self.left_out else 0
            merged[first:] = sorted(merged[first:], key=_canonical)
        options = dict(self.own_options)
        if self.left_out:
            options[LEAVE_OUT] = sorted(self.left_out)
        if by_name:
            # Options may go by names, which do not tell what is behind them.
            options['names'] = [name for *_, name in merged]
        part: Part = Merged(
            self.type,
            json.dumps(options, sort_keys=True),
            tuple((member, weight) for member, weight, _ in merged),
            tuple((name, supply.content) for name, supply in self.supplies.items()),
            self.needs_batch_norm or any(map(needs_batch_norm, recipes)),
        )
        return {part: 1.0}


def _canonical(merged: tuple[Identity, float, str]) -> str:
    """A text by which members are sorted, the same in all processes."""
    member, weight, name = merged
    return repr([name, text_of(dict(member)), weight])


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _plain(value: Any) -> Any:
    """A value of a config as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


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
