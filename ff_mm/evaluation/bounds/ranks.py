"""Bounds on the scores of a ranking, label by label."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.bounds.bound import MARGIN, Bound
from ff_mm.evaluation.metrics.base import Case
from ff_mm.evaluation.metrics.labels import against_rest, stack
from ff_mm.plain import MISSING


class RankedLabel:
    """The scores of one label so far, in order.

    Args:
        truth: Of all cases, of shape (cases,): 1, 0 or -1 (missing).

    Attributes:
        positives: In how many of all cases it is present.
        negatives: In how many of all cases it is absent.
        present: Scores so far of cases in which it is present, ascending.
        absent: Likewise of those in which it is absent.
        diverged: Whether a score is not finite.
    """

    def __init__(self, truth: np.ndarray) -> None:
        self.positives = int((truth == 1).sum())
        self.negatives = int((truth == 0).sum())
        self.present = self.absent = np.zeros(0)
        self.diverged = False

    @property
    def has_both_classes(self) -> bool:
        """Whether it is present in a case and absent from another."""
        return self.positives > 0 and self.negatives > 0

    def add(self, truth: np.ndarray, scores: np.ndarray) -> None:
        """Takes in the truth and the scores of further cases, of shape (cases,)."""
        self.diverged |= not np.isfinite(scores[truth != MISSING]).all()
        self.present = _merged(self.present, scores[truth == 1])
        self.absent = _merged(self.absent, scores[truth == 0])


class RankBound(Bound):
    """Bound on a score of the ranking of one label, or on the mean of all labels.

    A subclass says what the best is for one label. The best rankings of several labels
    do not exclude each other, as each has its own scores; where they do (those of
    classes sum to one), the bound is only looser.

    Args:
        truth: Of all cases: class numbers of shape (cases,), each class then a label
            against the rest; or int8 of shape (cases, labels) with 1, 0 and -1
            (missing). Some label, or ``label``, is both present and absent.
        label: The number of one label; None: the mean of all that are both.
    """

    def __init__(self, truth: np.ndarray, label: int | None = None) -> None:
        self._truth = truth
        self._label = label
        self.clear()

    @abstractmethod
    def best_of(self, label: RankedLabel) -> float:
        """Returns the best value of a label that is both present and absent."""

    def clear(self) -> None:
        """Forgets the cases that were added."""
        self._labels: list[RankedLabel] = []

    def add(self, results: Sequence[Case]) -> None:
        """Takes in further cases, as truth and scores."""
        truth, scores = stack(results)
        if not self._labels:
            # Only the scores say how many classes there are; of two, one is ranked.
            all_truth, _ = against_rest(self._truth, self._like(scores))
            self._labels = [RankedLabel(column) for column in all_truth.T]
        columns = zip(*(a.T for a in against_rest(truth, scores)), strict=True)
        for i, (label, column) in enumerate(zip(self._labels, columns, strict=True)):
            if self._counts(i):
                label.add(*column)

    def best(self) -> float:
        """Returns the value if all other cases are ranked perfectly.

        That is present ones above, and absent ones below all scores so far.
        """
        values = [
            float('nan') if label.diverged else self.best_of(label)
            for i, label in enumerate(self._labels)
            if self._counts(i)
        ]
        return (float(np.mean(values)) if values else 1.0) + MARGIN

    def errors(self, results: Sequence[Case]) -> np.ndarray:
        """Returns how far scores are from the truth, summed over known labels."""
        if not results:
            return np.zeros(0)
        truth, scores = against_rest(*stack(results))
        distance = np.abs(truth - scores)
        distance[~np.isfinite(distance)] = 1
        counted = truth != MISSING
        if self._label is not None:
            counted &= np.arange(truth.shape[1]) == self._label
        return (distance * counted).sum(axis=1)

    def _like(self, scores: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.zeros(1), (len(self._truth), scores.shape[1]))

    def _counts(self, i: int) -> bool:
        return self._labels[i].has_both_classes and self._label in (None, i)


class AUROCBound(RankBound):
    """Bound on the area under the ROC curve.

    It is the fraction of all pairs, a case in which the label is present and one in
    which it is absent, that are not lost so far, ties half. A pair of two cases seen is
    what it is; one with a case to come is won at best, and all are if that is ranked
    perfectly.
    """

    def best_of(self, label: RankedLabel) -> float:
        """Returns the best area of one label."""
        ties_or_less = np.searchsorted(label.absent, label.present, side='right')
        less = np.searchsorted(label.absent, label.present, side='left')
        seen = len(label.present) * len(label.absent)
        lost = seen - (int(ties_or_less.sum()) + int(less.sum())) / 2
        return 1 - lost / (label.positives * label.negatives)


class AveragePrecisionBound(RankBound):
    """Bound on the average precision.

    That is the mean over the cases in which the label is present of a / (a + b): a of
    those, b of the others have at least the score of the case. It rises with a and
    falls with b, so the best for every case seen is that all to come of the former
    have higher scores, and all of the latter lower ones; the former then have 1.
    """

    def best_of(self, label: RankedLabel) -> float:
        """Returns the best average precision of one label."""
        seen, scores = len(label.present), label.present
        to_come = label.positives - seen
        a = to_come + seen - np.searchsorted(label.present, scores, side='left')
        b = len(label.absent) - np.searchsorted(label.absent, scores, side='left')
        return (to_come + float((a / (a + b)).sum())) / label.positives


def _merged(ordered: np.ndarray, scores: np.ndarray) -> np.ndarray:
    scores = np.sort(scores)
    return np.insert(ordered, np.searchsorted(ordered, scores), scores)
