"""What range of values a plot shows, where some values are beyond all measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ValueRange:
    """The values that an axis or a colour bar shows.

    Attributes:
        low: The least.
        high: The greatest; above ``low``.
        extend: Which ends have values beyond them, as matplotlib says it:
            ``'neither'``, ``'min'``, ``'max'``, ``'both'``.
    """

    low: float
    high: float
    extend: str

    def with_room(self, share: float) -> tuple[float, float]:
        """Gives both ends, further apart by this share of the range on each side."""
        room = share * (self.high - self.low)
        return self.low - room, self.high + room


def value_range(values: ArrayLike, rule: str, spread: float) -> ValueRange:
    """Finds a range in which what is good can be told apart.

    It goes from the best value to the worst that is not beyond measure: further from
    the best than ``spread`` times the median is, or three times ``spread`` the nearer
    quartile (where more than half is beyond measure), values equal to the best left
    aside. Where all values are equal, it goes from 0 to them.

    Args:
        values: Any shape. NaN is left out; infinite values are beyond the range.
        rule: ``'less'`` or ``'greater'``: which values are better.
        spread: How many times the median's distance the range may be.
    """
    sign = 1 if rule == 'less' else -1
    costs = sign * np.asarray(values, np.float64).ravel()
    finite = costs[np.isfinite(costs)]
    if not np.ptp(finite if finite.size else [0]):
        value = float(sign * finite[0]) if finite.size else 0.0
        low, high = min(value, 0.0), max(value, 0.0)
        return ValueRange(low, high if low < high else 1.0, 'neither')
    within = finite[finite <= _end(finite, spread)]
    ends = sorted((float(sign * within.min()), float(sign * within.max())))
    return fixed_range(values, (ends[0], ends[1]))


def fixed_range(values: ArrayLike, limits: tuple[float, float]) -> ValueRange:
    """Says which values are beyond limits that are given."""
    values = np.asarray(values, np.float64)
    low, high = limits
    # NaN is beyond neither.
    names = ('neither', 'min', 'max', 'both')
    which = int((values < low).any()) + 2 * int((values > high).any())
    return ValueRange(low, high, names[which])


def _end(costs: NDArray[np.float64], spread: float) -> float:
    """How far from the best the worst may be; some value above the best always is."""
    best = costs.min()
    above = costs[costs > best] - best
    quarter, half = np.quantile(above, [0.25, 0.5])
    return best + max(min(spread * half, 3 * spread * quarter), above.min())
