"""Bounds on means of costs, of which none is negative."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ff_mm.evaluation.bounds.bound import MARGIN, Bound
from ff_mm.evaluation.metrics.base import Case
from ff_mm.evaluation.metrics.labels import stack
from ff_mm.plain import MISSING

#: Function of truth and scores, as :func:`ff_mm.evaluation.metrics.labels.stack` gives
#: them, -> cost of each case, summed over its known labels, of shape (cases,). NaN
#: where the metric would not accept the scores.
Costs = Callable[[np.ndarray, np.ndarray], np.ndarray]


class CostBound(Bound):
    """Bound on a mean of costs over all cases, or over all known elements.

    By how many it is divided is known from the truth, and no cost is negative: the
    costs so far, divided by all, are what the mean cannot fall below.

    Args:
        truth: Of all cases: class numbers of shape (cases,), or int8 of shape (cases,
            labels) with 1, 0 and -1 (missing). Something is known.
        costs: The cost of each case.
        worst: What stands in :meth:`errors` for a cost that is not finite.
    """

    def __init__(self, truth: np.ndarray, costs: Costs, worst: float) -> None:
        self._divisor = np.count_nonzero(truth != MISSING)
        self._costs = costs
        self._worst = worst
        self.clear()

    def clear(self) -> None:
        """Forgets the cases that were added."""
        self._sum = 0.0

    def add(self, results: Sequence[Case]) -> None:
        """Takes in further cases, as truth and scores."""
        self._sum += float(self._costs(*stack(results)).sum())

    def best(self) -> float:
        """Returns the mean if all other cases cost nothing."""
        return self._sum / self._divisor - MARGIN

    def errors(self, results: Sequence[Case]) -> np.ndarray:
        """Returns the cost of each case."""
        if not results:
            return np.zeros(0)
        costs = self._costs(*stack(results))
        return np.where(np.isfinite(costs), costs, self._worst)
