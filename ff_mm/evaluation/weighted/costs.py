"""Means of costs over the cases of resamples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.metrics.base import Case
from ff_mm.evaluation.metrics.calibration import (
    CalibrationMetric,
    bin_numbers,
    squared_errors,
)
from ff_mm.evaluation.metrics.labels import stack
from ff_mm.evaluation.metrics.validation_loss import ValidationLoss, cross_entropy
from ff_mm.evaluation.weighted.weighted_metric import quotient
from ff_mm.plain import MISSING


class WeightedLoss:
    """The loss of :class:`ff_mm.evaluation.ValidationLoss`.

    Args:
        metric: The metric.
        results: Truth and scores of each case.
    """

    def __init__(self, metric: ValidationLoss, results: Sequence[Case]) -> None:
        truth, scores = stack(results)
        costs = cross_entropy(truth, scores)
        self._mean = _MeanOverKnown(truth, scores, costs[:, None])

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the loss, see :class:`~.weighted_metric.WeightedMetric`."""
        return {'loss': self._mean.values(counts)}


class WeightedCalibration:
    """``items`` of :class:`ff_mm.evaluation.CalibrationMetric`.

    Args:
        metric: The metric.
        results: Truth and scores of each case.
    """

    def __init__(self, metric: CalibrationMetric, results: Sequence[Case]) -> None:
        truth, scores = stack(results)
        parts = dict(
            brier=squared_errors(truth, scores)[:, None],
            ece=_gaps(truth, scores, metric.n_bins),
        )
        self._means = {
            item: _MeanOverKnown(truth, scores, parts[item]) for item in metric.items
        }

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores, see :class:`~.weighted_metric.WeightedMetric`."""
        return {item: mean.values(counts) for item, mean in self._means.items()}


class _MeanOverKnown:
    """A sum over cases, part by part, without signs, over the number of known elements.

    A cost is never negative and has one part. The calibration error has a part a bin.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.labels.stack` gives it.
        scores: Likewise.
        parts: What each case adds, of shape (cases, parts).
    """

    def __init__(
        self, truth: np.ndarray, scores: np.ndarray, parts: np.ndarray
    ) -> None:
        known = (truth != MISSING).reshape(len(truth), -1)
        self._known = known.sum(axis=1).astype(np.float64)
        self._broken = (known & ~np.isfinite(scores)).any(axis=1)
        # They must not reach resamples that do not have them: 0 times NaN is NaN.
        self._parts = np.where(self._broken[:, None], 0, parts)

    def values(self, counts: np.ndarray) -> np.ndarray:
        sums = np.abs(counts @ self._parts).sum(axis=1)
        means = quotient(sums, counts @ self._known, np.nan)
        return np.where(counts @ self._broken > 0, np.nan, means)


def _gaps(truth: np.ndarray, scores: np.ndarray, n_bins: int) -> np.ndarray:
    """What came true less its probability, by the bin of the probability.

    The bins are those of the expected calibration error.

    Returns:
        Float64 of shape (cases, n_bins).
    """
    if truth.ndim == 1:
        right = (scores.argmax(axis=1) == truth)[:, None]
        confidence = scores.max(axis=1)[:, None]
    else:
        right, confidence = truth == 1, scores
    bins = bin_numbers(confidence, n_bins)
    known = (truth != MISSING).reshape(len(truth), -1)
    cases, _ = np.nonzero(known)
    gaps = np.zeros((len(truth), n_bins))
    np.add.at(gaps, (cases, bins[known]), (right - confidence)[known])
    return gaps
