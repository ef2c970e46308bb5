"""A soup with its options, ready to be made of ingredients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Scorer
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups import OPTIONS, SOUPS


@dataclass(frozen=True)
class Choice:
    """WHICH ingredients go into a soup, and how much of each.

    Attributes:
        type: The soup, a key of :data:`ff_mm.merging.soups.SOUPS`.
        options: Its options, those of :data:`ff_mm.merging.soups.OPTIONS`.

    Raises:
        ConfigError: There is no such soup, or it has no such option or value.
    """

    type: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.type not in SOUPS:
            raise ConfigError(f'no soup {self.type!r}; there are {", ".join(SOUPS)}')
        known = option_names(self.type)
        for name in self.options:
            if name not in known:
                there = f'there are {sorted(known)}' if known else 'it has none'
                raise ConfigError(f'soup={self.type!r}: no option {name!r}; {there}')
        self._read_options()

    @classmethod
    def read(cls, value: Choice | str | Mapping[str, Any]) -> Choice:
        """Read what a config says.

        Args:
            value: A name, or ``dict(type=name, ...)`` with options.

        Raises:
            ConfigError: Something else, or as the class does.
        """
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping) and isinstance(value.get('type'), str):
            return cls(value['type'], {k: v for k, v in value.items() if k != 'type'})
        raise ConfigError(
            f"soup={value!r}: expected a name such as 'greedy', or dict(type='greedy')"
        )

    def check(self, merge: Merge) -> None:
        """Check that such a soup can be merged in some way.

        Raises:
            ConfigError: It cannot.
        """
        options = self._read_options()
        if hasattr(options, 'check'):
            options.check(merge)

    def make(
        self,
        ingredients: Sequence[AnyIngredient],
        scorer: Scorer,
        name: str,
        file: PathLike | None,
        merge: Merge,
    ) -> Soup:
        """Make the soup, see :data:`ff_mm.merging.soups.SOUPS`."""
        options = self._read_options()
        given = {} if options is None else dict(options=options)
        return SOUPS[self.type](ingredients, scorer, name, file, merge, **given)

    def _read_options(self) -> Any:
        kind = OPTIONS.get(self.type)
        return None if kind is None else kind(**self.options)


def option_names(soup: str) -> tuple[str, ...]:
    """Return the names of the options of a soup."""
    kind = OPTIONS.get(soup)
    return () if kind is None else tuple(each.name for each in fields(kind))
