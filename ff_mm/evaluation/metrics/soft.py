"""Soft scores: what a score is expected to be, if predictions are drawn by probability.

A score of predicted classes moves in steps of a whole case, and sees nothing of how
sure a prediction is. Its soft score has the same goal and the same formula, but counts
each case by its probabilities: one with 0.7 for melanoma is 0.7 of a case predicted as
melanoma. Where all probabilities are 0 or 1 the two are the same number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ff_mm.evaluation.metrics.base import (
    BEYOND,
    SampleError,
    keep_case,
    require_probabilities,
)
from ff_mm.evaluation.metrics.labels import sums_over_cases
from ff_mm.plain import MISSING

#: Begins the name of a soft score; what follows is the score whose goal it has.
SOFT = 'soft_'


def with_soft(names: Iterable[str]) -> tuple[str, ...]:
    """Returns names of scores, and those of their soft scores."""
    names = tuple(names)
    return (*names, *(f'{SOFT}{name}' for name in names))


def any_soft(names: Iterable[str]) -> bool:
    """Whether any of some scores needs probabilities."""
    return any(map(kind_of, names))


def kind_of(name: str) -> str:
    """Returns ``SOFT`` of a soft score, and nothing of another."""
    return SOFT if name.startswith(SOFT) else ''


def goal(name: str) -> str:
    """Returns the score whose goal a soft score has; of another score itself."""
    return name.removeprefix(SOFT)


def record(label: int, sample: Mapping[str, Any]) -> np.void:
    """Returns the predicted class of a case, and the scores of all classes.

    Args:
        label: The class.
        sample: A data sample as a dict, with its true class as well.

    Returns:
        With ``label`` and ``scores``.

    Raises:
        SampleError: If there are no scores, or none of the true class.
    """
    if 'pred_score' not in sample:
        raise SampleError(
            'MulticlassMetric: a data sample has no pred_score; leave soft scores out '
            'of items and per_class, or let the head give probabilities'
        )
    _, scores = keep_case({k: sample[k] for k in ('gt_label', 'pred_score')})
    return _records(np.array([label]), scores[None])[0]


def certain(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns predictions of which a model is certain, as :func:`record` has them.

    Args:
        labels: The classes.
        classes: How many the model has; of one that it lacks its last is certain.
    """
    return _records(labels, np.eye(classes)[np.minimum(labels, classes - 1)])


def _records(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    kinds = np.dtype([('label', np.int64), ('scores', np.float64, scores.shape[1:])])
    records = np.empty(len(labels), kinds)
    records['label'], records['scores'] = labels, scores
    return records


def shares_of_classes(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns how much of each case is predicted as each class.

    Args:
        truth: Class numbers of shape (cases,).
        scores: Probabilities of shape (cases, classes).

    Returns:
        Of the same shape. A case has 1 in all: half or single precision leaves sums
        next to it. NaN where a score is not finite, or all are 0.

    Raises:
        SampleError: If a score is not from 0 to 1.
    """
    require_probabilities(truth, scores)
    # A diverged model: NaN, without a word.
    with np.errstate(all='ignore'):
        return scores / scores.sum(axis=1, keepdims=True)


def shares_of_labels(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns how much of each case is predicted to have each label.

    Args:
        truth: 1, 0 or -1 (missing), of shape (cases, labels).
        scores: Probabilities of the same shape; those of ``BEYOND`` are as good as 0
            and 1.

    Returns:
        Of the same shape; 0 where a label is missing or a score is not finite.

    Raises:
        SampleError: If a score of something known is not from 0 to 1.
    """
    shares = np.where(np.isin(scores, BEYOND), scores > 0, scores)
    require_probabilities(truth, shares)
    return np.where((truth != MISSING) & np.isfinite(shares), shares, 0)


def expected_confusion(
    truth: np.ndarray, shares: np.ndarray, number: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what gives confusion matrices if predictions are drawn by probability.

    Args:
        truth: Class numbers of shape (cases,).
        shares: As :func:`shares_of_classes` gives them.
        number: Of how many classes the matrices are.

    Returns:
        Function of how often each case counts, of shape (resamples, cases), -> float64
        of shape (resamples, classes, classes): in row i and column j the sum of the
        probabilities of j in cases of class i. A resample is NaN throughout if it has a
        case whose probabilities are.
    """
    rows = [(label, np.flatnonzero(truth == label)) for label in np.unique(truth)]
    parts = [(*row, sums_over_cases(shares[row[1]])) for row in rows]

    def confusion(counts: np.ndarray) -> np.ndarray:
        found = np.zeros((len(counts), number, number))
        for label, cases, sums in parts:
            found[:, label, : shares.shape[1]] = sums(np.take(counts, cases, axis=1))
        found[np.isnan(found).any(axis=(1, 2))] = np.nan
        return found

    return confusion
