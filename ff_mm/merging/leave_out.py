"""Entries that are left out of a merge: they are the first member's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor

from ff_mm.errors import ConfigError
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods import Running
from ff_mm.merging.placement import Placement
from ff_mm.merging.recipe import Recipe
from ff_mm.merging.state_dict import StateDict, copy_weights

#: The option of all methods that says which.
LEAVE_OUT = 'leave_out'


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Say whether an entry is one of those of a pattern.

    ``'head.*'`` and ``'head'`` are all below head, ``'*.bias'`` all biases.
    """
    return any(
        fnmatchcase(name, pattern) or name.startswith(f'{pattern}.')
        for pattern in patterns
    )


def check_patterns(names: Collection[str], patterns: Sequence[str], file: str) -> None:
    """Refuse patterns that fit nothing, or leave nothing to merge.

    Args:
        names: Of all entries.
        patterns: What is to be left out.
        file: What has the entries, for messages.

    Raises:
        ConfigError: One of them does.
    """
    some = ', '.join(list(names)[-2:])
    for pattern in patterns:
        if not any(fits(name, [pattern]) for name in names):
            raise ConfigError(
                f'merge: leave_out: {pattern!r} fits no entry of {file}; it has '
                f'such as {some}'
            )
    if patterns and all(fits(name, patterns) for name in names):
        raise ConfigError(
            f'merge: leave_out={list(patterns)} leaves nothing to merge; give fewer '
            'patterns'
        )


@dataclass(frozen=True, eq=False)
class Rest:
    """An ingredient without the entries that are left out.

    Attributes:
        whole: The ingredient.
        patterns: What is left out of it.
    """

    whole: AnyIngredient
    patterns: tuple[str, ...]

    @property
    def name(self) -> str:
        """That of the whole."""
        return self.whole.name

    @property
    def hyper(self) -> Mapping[str, Any]:
        """That of the whole."""
        return self.whole.hyper

    @property
    def score(self) -> float | None:
        """That of the whole."""
        return self.whole.score

    @property
    def recipe(self) -> Recipe:
        """That of the whole."""
        return self.whole.recipe

    @property
    def level(self) -> int:
        """That of the whole."""
        return self.whole.level

    def load(self, out: StateDict | None = None) -> StateDict:
        """Return the weights without what is left out."""
        weights = dict(self.in_passing())
        return weights if out is None else copy_weights(weights, out, self.name)

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights without what is left out, for reading them once."""
        return _Without(self.whole.in_passing(), self.patterns)

    def to_sum(self) -> Mapping[str, Tensor]:
        """Return the weights without what is left out, for adding them up."""
        return _Without(self.whole.to_sum(), self.patterns)

    @property
    def placement(self) -> Placement | None:
        """That of the whole."""
        return self.whole.placement

    def prefetch(self) -> None:
        """As that of the whole."""
        self.whole.prefetch()


def whole(member: AnyIngredient) -> AnyIngredient:
    """Return the ingredient of which a member is a part, or itself."""
    return member.whole if isinstance(member, Rest) else member


class _Without(Mapping[str, Tensor]):
    def __init__(self, weights: Mapping[str, Tensor], patterns: Sequence[str]) -> None:
        self._weights = weights
        self._names = dict.fromkeys(n for n in weights if not fits(n, patterns))

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._names:
            raise KeyError(key)
        return self._weights[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class RestSoFar:
    """Merges the rest of members, one after the other; the first gives what is left.

    Args:
        running: Merges what is not left out.
        patterns: What is left out.
    """

    def __init__(self, running: Running, patterns: Sequence[str]) -> None:
        self._running = running
        self._patterns = tuple(patterns)
        self._first: AnyIngredient | None = None

    def add(self, member: AnyIngredient, weight: float = 1.0) -> None:
        """Take in one more member."""
        self._first = self._first or member
        self._running.add(Rest(member, self._patterns), weight)

    def with_one_more(
        self, member: AnyIngredient, out: StateDict | None = None
    ) -> StateDict:
        """Return the weights as if a member of weight 1 had been added."""
        rest = self._running.with_one_more(
            Rest(member, self._patterns), self._rest_of(out)
        )
        return self._completed(self._first or member, rest, out)

    def pop(self, out: StateDict | None = None) -> StateDict:
        """Return the weights, and forget the members."""
        rest = self._running.pop(self._rest_of(out))
        assert self._first is not None  # or nothing could have been merged
        return self._completed(self._first, rest, out)

    def _rest_of(self, out: StateDict | None) -> StateDict | None:
        if out is None:
            return None
        return {key: out[key] for key in self._names(out, left_out=False)}

    def _completed(
        self, first: AnyIngredient, rest: StateDict, out: StateDict | None
    ) -> StateDict:
        weights = first.in_passing()
        left = self._names(weights, left_out=True)
        if out is None:
            return {k: weights[k].clone() if k in left else rest[k] for k in weights}
        copy_weights(
            {key: weights[key] for key in left}, {k: out[k] for k in left}, first.name
        )
        return out

    def _names(self, names: Iterable[str], left_out: bool) -> dict[str, None]:
        return dict.fromkeys(n for n in names if fits(n, self._patterns) is left_out)
