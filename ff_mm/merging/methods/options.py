"""What the options of merging methods may be, said before anything is merged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol


class Kind(Protocol):
    """What an option may be."""

    def expected(self) -> str:
        """Say so, for messages."""

    def fits(self, value: Any) -> bool:
        """Say whether a value is."""


@dataclass(frozen=True)
class Number:
    """A number, which can be searched: a list of them is tried out on validation.

    Attributes:
        low: The least that it may be.
        high: The most; it is finite in any case.
        whole: Whether it must be a whole number.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def expected(self) -> str:
        """Say what it may be, for messages."""
        what = 'a whole number' if self.whole else 'a number'
        bounds = self.low, self.high
        if bounds == (-math.inf, math.inf):
            return f'{what} that is finite'
        if math.inf in bounds:
            return f'{what}, finite and {self.low:g} or more'
        return f'{what} from {self.low:g} to {self.high:g}'

    def fits(self, value: Any) -> bool:
        """Say whether a value is such a number."""
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        number = float(value)
        # NaN is in no range.
        fine = math.isfinite(number) and self.low <= number <= self.high
        return fine and (not self.whole or number.is_integer())

    def read(self, value: Any) -> int | float:
        """Return it as one that is equal to no other: 1 and 1.0 are one."""
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class PerMember:
    """Numbers by the names of members.

    Attributes:
        number: What each of them may be.
        complete: Whether each member needs one.
    """

    number: Number = Number()
    complete: bool = False

    def expected(self) -> str:
        """Say what it may be, for messages."""
        return f'names of members, each with {self.number.expected()}'

    def fits(self, value: Any) -> bool:
        """Say whether a value is such a map."""
        return (
            isinstance(value, Mapping)
            and bool(value)
            and all(isinstance(name, str) for name in value)
            and all(map(self.number.fits, value.values()))
        )

    def problem(self, value: Mapping[str, Any], names: Sequence[str]) -> str | None:
        """Say what does not fit the members there are; None: it all does.

        Args:
            value: The option.
            names: Those of the members.
        """
        unknown = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        if unknown:
            return f'there is no {unknown[0]!r}, there are {_some(names)}'
        if missing and self.complete:
            return f'{_some(missing)} must have one, too'
        return None


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    def expected(self) -> str:
        """Say what it may be, for messages."""
        return 'True or False'

    def fits(self, value: Any) -> bool:
        """Say whether a value is one of the two."""
        return isinstance(value, bool)


@dataclass(frozen=True)
class Patterns:
    """Patterns of names, such as ``['head.*']``, or one."""

    def expected(self) -> str:
        """Say what it may be, for messages."""
        return "patterns of names such as ['head.*']"

    def fits(self, value: Any) -> bool:
        """Say whether a value is such a list, or one pattern."""
        given = [value] if isinstance(value, str) else value
        return isinstance(given, list | tuple) and all(
            isinstance(pattern, str) and pattern for pattern in given
        )


#: A share of a whole.
SHARE = Number(0.0, 1.0)
#: A factor that does not turn the direction.
FACTOR = Number(0.0)
FLAG = Flag()
PATTERNS = Patterns()


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(map(repr, names[:most])) + more
