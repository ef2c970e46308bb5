"""Scores of predicted labels of resamples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.metrics.base import Case
from ff_mm.evaluation.metrics.labels import stack
from ff_mm.evaluation.metrics.multilabel import MultilabelMetric
from ff_mm.evaluation.weighted.rates import rate
from ff_mm.evaluation.weighted.weighted_metric import quotient
from ff_mm.plain import MISSING


class WeightedLabelScores:
    """``items`` of :class:`ff_mm.evaluation.MultilabelMetric`.

    Args:
        metric: The metric.
        results: Truth and scores of each case.
    """

    def __init__(self, metric: MultilabelMetric, results: Sequence[Case]) -> None:
        self._items = metric.items
        truth, scores = stack(results)
        known, present = truth != MISSING, truth == 1
        predicted = known & (scores >= metric.threshold)
        self._known = known.astype(np.float64)
        self._broken = (known & ~np.isfinite(scores)).astype(np.float64)
        self._right = (known & (present == predicted)).astype(np.float64)
        self._margins = [
            of_cases.astype(np.float64)
            for of_cases in (present & predicted, present, predicted)
        ]

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores, see :class:`~.weighted_metric.WeightedMetric`."""
        known, broken = counts @ self._known, counts @ self._broken > 0
        margins = [counts @ of_cases for of_cases in self._margins]
        values = {}
        for item in self._items:
            if item == 'accuracy':
                right = (counts @ self._right).sum(axis=1)
                accuracy = quotient(right, known.sum(axis=1), np.nan)
                values[item] = np.where(broken.any(axis=1), np.nan, accuracy)
                continue
            rates = rate(item.removeprefix('macro_'), *margins, known)
            rates[broken] = np.nan
            total = np.where(known > 0, rates, 0).sum(axis=1)
            values[item] = quotient(total, (known > 0).sum(axis=1), np.nan)
        return values
