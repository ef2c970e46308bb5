"""Bounds on the scores of predicted labels, some of them missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.bounds.bound import Bound
from ff_mm.evaluation.bounds.error_counts import RATES, ErrorCounts
from ff_mm.evaluation.metrics.base import Case
from ff_mm.evaluation.metrics.labels import stack
from ff_mm.plain import MISSING


class LabelBound(Bound):
    """Bound on the accuracy of labels, on a rate of one, or on the mean rate of all.

    It is the score with the mistakes made so far as the only ones, and is attained if
    all other elements are right. Nothing is better, as the labels that count, those
    known in any case, do not depend on the predictions, and right elements give every
    label its best rate (:data:`~ff_mm.evaluation.bounds.error_counts.RATES`).

    Args:
        truth: Of all cases, int8 of shape (cases, labels): 1, 0 or -1 (missing).
        rate: A key of ``RATES``; None: the accuracy over all labels together.
        label: The number of one label, known in some case; None: all of them.
        threshold: From which score on a label is predicted.
    """

    def __init__(
        self,
        truth: np.ndarray,
        rate: str | None,
        label: int | None,
        threshold: np.float32,
    ) -> None:
        self._present = (truth == 1).sum(axis=0)
        self._absent = (truth == 0).sum(axis=0)
        self._rate = rate
        self._labels = (truth != MISSING).any(axis=0)
        if label is not None:
            self._labels = np.arange(truth.shape[1]) == label
        self._threshold = threshold
        self.clear()

    def clear(self) -> None:
        """Forgets the cases that were added."""
        self._missed = np.zeros_like(self._present)
        self._false = np.zeros_like(self._present)
        self._diverged = False

    def add(self, results: Sequence[Case]) -> None:
        """Takes in further cases, as truth and scores."""
        truth, scores = stack(results)
        predicted = scores >= self._threshold
        self._missed += ((truth == 1) & ~predicted).sum(axis=0)
        self._false += ((truth == 0) & predicted).sum(axis=0)
        counted = (truth != MISSING) & self._labels
        self._diverged |= not np.isfinite(scores[counted]).all()

    def best(self) -> float:
        """Returns the score with no further mistake; NaN, as the metric has it then."""
        if self._diverged:
            return float('nan')
        counts = ErrorCounts(self._present, self._absent, self._missed, self._false)
        if self._rate is not None:
            return float(RATES[self._rate](counts)[self._labels].mean())
        known = int(self._present.sum() + self._absent.sum())
        return (known - int(self._missed.sum() + self._false.sum())) / known

    def errors(self, results: Sequence[Case]) -> np.ndarray:
        """Returns how many labels of each case are predicted wrongly."""
        if not results:
            return np.zeros(0)
        truth, scores = stack(results)
        right = (scores >= self._threshold) == (truth == 1)
        wrong = (truth != MISSING) & ~(right & np.isfinite(scores)) & self._labels
        return wrong.sum(axis=1).astype(np.float64)
