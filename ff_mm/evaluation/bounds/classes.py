"""Bounds on the scores of predicted classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.bounds.bound import Bound
from ff_mm.evaluation.bounds.error_counts import RATES, ErrorCounts

#: Name of a score of :class:`ff_mm.evaluation.MulticlassMetric` -> the rate of each
#: class that it is the mean of; None: it is no mean.
CLASS_SCORES = {
    'accuracy': None,
    'balanced_accuracy': 'recall',
    'macro_recall': 'recall',
    'macro_precision': 'precision',
    'macro_f1': 'f1',
}


class ClassBound(Bound):
    """Bound on accuracy, or on a mean over classes of recall, precision or F1.

    It is the score with the mistakes made so far as the only ones, and is attained if
    all other cases are right. Nothing is better: right cases give every class its best
    rate (:data:`~ff_mm.evaluation.bounds.error_counts.RATES`), and a mistake may only
    add a class to the mean, one that is never true and has the rate 0. (It lowers the
    mean by far more than a sum in another order could be rounded up.)

    Specificity is not among them. A class that is never true enters the mean with a
    high one as soon as it is predicted, so that a mistake can raise the mean.

    Args:
        truth: Class numbers of all cases, of shape (cases,).
        score: Which score, a key of :data:`CLASS_SCORES`.
    """

    def __init__(self, truth: np.ndarray, score: str) -> None:
        self._truth = np.bincount(truth)
        self._number = len(truth)
        self._score = score
        self.clear()

    def clear(self) -> None:
        """Forgets the cases that were added."""
        self._wrong = np.zeros((0, 2), np.int64)

    def add(self, results: Sequence[tuple[int, int]]) -> None:
        """Takes in further cases, as true and predicted class numbers."""
        pairs = np.array(results)
        wrong = pairs[pairs[:, 0] != pairs[:, 1]]
        self._wrong = np.concatenate([self._wrong, wrong])

    def best(self) -> float:
        """Returns the score with no further mistake."""
        rate = CLASS_SCORES[self._score]
        if rate is None:
            return (self._number - len(self._wrong)) / self._number
        counts = self._counts()
        occurs = counts.present > 0
        if self._score != 'balanced_accuracy':
            occurs |= counts.false > 0
        return float(RATES[rate](counts)[occurs].mean())

    def errors(self, results: Sequence[tuple[int, int]]) -> np.ndarray:
        """Returns 1 for each case whose predicted class is wrong, else 0."""
        true, predicted = np.array(results).reshape(-1, 2).T
        return (true != predicted).astype(np.float64)

    def _counts(self) -> ErrorCounts:
        true, predicted = self._wrong.T
        number = max(len(self._truth), int(predicted.max(initial=0)) + 1)
        present = np.zeros(number, np.int64)
        present[: len(self._truth)] = self._truth
        return ErrorCounts(
            present=present,
            absent=self._number - present,
            missed=np.bincount(true, minlength=number),
            false=np.bincount(predicted, minlength=number),
        )
