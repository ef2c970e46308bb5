"""Scores of predicted classes of resamples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.metrics.multiclass import MulticlassMetric
from ff_mm.evaluation.weighted.rates import rate
from ff_mm.evaluation.weighted.weighted_metric import quotient

# Of how many class numbers true and predicted class differ -> weight.
_DISAGREEMENT = {
    'kappa': np.sign,
    'linear_kappa': np.abs,
    'quadratic_kappa': np.square,
}


class WeightedClassScores:
    """``items`` of :class:`ff_mm.evaluation.MulticlassMetric`.

    All are functions of the margins of the confusion matrix and of its diagonal; a
    kappa of the margins and of the disagreement of each case.

    Args:
        metric: The metric.
        results: True and predicted class number of each case.
    """

    def __init__(
        self, metric: MulticlassMetric, results: Sequence[tuple[int, int]]
    ) -> None:
        self._items = metric.items
        true, predicted = np.array(results).T
        self._distance = np.abs(true - predicted).astype(np.float64)
        classes = np.eye(max(true.max(), predicted.max()) + 1)
        self._true, self._predicted = classes[true], classes[predicted]
        self._hits = self._true * self._predicted

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores, see :class:`~.weighted_metric.WeightedMetric`."""
        sums = (counts @ self._hits, counts @ self._true, counts @ self._predicted)
        return {item: self._value(item, counts, *sums) for item in self._items}

    def _value(
        self,
        item: str,
        counts: np.ndarray,
        hits: np.ndarray,
        true: np.ndarray,
        predicted: np.ndarray,
    ) -> np.ndarray:
        cases = counts.sum(axis=1)
        if item == 'accuracy':
            return hits.sum(axis=1) / cases
        if item in _DISAGREEMENT:
            observed = counts @ _DISAGREEMENT[item](self._distance)
            return _kappa(_DISAGREEMENT[item], observed, true, predicted)
        if item == 'balanced_accuracy':
            return _mean(rate('recall', hits, true, predicted, cases), true > 0)
        name = item.removeprefix('macro_')
        rates = rate(name, hits, true, predicted, cases[:, None])
        return _mean(rates, true + predicted > 0)


def _mean(rates: np.ndarray, occurring: np.ndarray) -> np.ndarray:
    """The mean over the classes that occur in the resample."""
    return np.where(occurring, rates, 0).sum(axis=1) / occurring.sum(axis=1)


def _kappa(
    weight: np.ufunc, observed: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """1 - observed / expected disagreement; NaN where one class alone occurs."""
    numbers = np.arange(true.shape[1], dtype=np.float64)
    weights = weight(np.abs(numbers[:, None] - numbers))
    expected = ((true @ weights) * predicted).sum(axis=1) / true.sum(axis=1)
    return 1 - quotient(observed, expected, np.nan)
