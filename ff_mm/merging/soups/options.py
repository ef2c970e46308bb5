"""Checks of the options of soups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ff_mm.errors import ConfigError


def check_whole(soup: str, name: str, value: Any, least: int) -> None:
    """Check a whole number.

    Raises:
        ConfigError: It is none, or less than that.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f'soup={soup!r}: {name}={value!r}: expected a whole number of at least '
            f'{least}'
        )


def check_number(soup: str, name: str, value: Any, zero: bool = False) -> None:
    """Check a number that is positive, or 0 if that may be.

    Raises:
        ConfigError: It is none.
    """
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (known and math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise ConfigError(
            f'soup={soup!r}: {name}={value!r}: expected a positive number'
            + (' or 0' if zero else '')
        )


def check_one_of(soup: str, name: str, value: Any, known: Sequence[Any]) -> None:
    """Check one of several values.

    Raises:
        ConfigError: It is none of them.
    """
    if not any(type(value) is type(k) and value == k for k in known):
        raise ConfigError(
            f'soup={soup!r}: {name}={value!r}: expected one of {list(known)}'
        )
