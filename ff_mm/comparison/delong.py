"""Areas under ROC curves of several models, and whether they differ.

DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated
receiver operating characteristic curves: a nonparametric approach", Biometrics 1988, in
the fast form of Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal
Processing Letters 2014; for cases in groups Obuchowski, "Nonparametric analysis of
clustered ROC curve data", Biometrics 1997.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, rankdata

from ff_mm.evaluation.metrics.labels import against_rest, class_names
from ff_mm.evaluation.predictions import Predictions
from ff_mm.plain import MISSING

# A variance this much smaller than those that it is the difference of is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class CorrelatedAreas:
    """Areas under the ROC curves of several models on the same cases.

    Attributes:
        areas: The area of each model, float64 of shape (models,).
        covariance: Their covariance, of shape (models, models). NaN where there are
            less than two positives or negatives (or groups of these).
    """

    areas: np.ndarray
    covariance: np.ndarray

    def interval(self, model: int, confidence: float = 0.95) -> tuple[float, float]:
        """Returns the interval of an area by the normal approximation, cut to [0, 1].

        An area of 1 or 0 has no width: nothing in the data says how far it could be.

        Args:
            model: The number of the model.
            confidence: Such as 0.95.
        """
        ends = _interval(self.areas[model], self.covariance[model, model], confidence)
        low, high = np.clip(ends, 0, 1)
        return float(low), float(high)

    def difference(
        self, model: int, other: int, confidence: float = 0.95
    ) -> tuple[float, float, float]:
        """Returns the area of a model less that of another, and the interval of that.

        Args:
            model: The number of the one.
            other: The number of the other.
            confidence: Such as 0.95.
        """
        value = self.areas[model] - self.areas[other]
        low, high = _interval(value, self._variance(model, other), confidence)
        return float(value), float(low), float(high)

    def test(self, model: int, other: int) -> tuple[float, float]:
        """Tests whether two areas differ.

        Args:
            model: The number of the one.
            other: The number of the other.

        Returns:
            z, positive where the area of ``model`` is the larger, and the two-sided p
            value. Equal areas have 0 and 1. NaN if they differ but the variance of
            the difference is 0, or is not known.
        """
        value = self.areas[model] - self.areas[other]
        if value == 0:
            return 0.0, 1.0
        variance = self._variance(model, other)
        z = value / np.sqrt(variance) if variance > 0 else np.nan
        return float(z), float(2 * norm.sf(abs(z)))

    def _variance(self, model: int, other: int) -> float:
        of_both = self.covariance[model, model] + self.covariance[other, other]
        variance = of_both - 2 * self.covariance[model, other]
        return 0.0 if variance <= _ROUNDING * of_both else variance


def delong(
    truth: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None
) -> CorrelatedAreas:
    """Computes areas under the ROC curves of models on the same cases.

    Args:
        truth: True where a case is positive, of shape (cases,).
        scores: The higher, the more likely positive; of shape (models, cases). NaN
            makes the values of its model NaN.
        groups: The number of the group (patient, lesion) of each case, of shape
            (cases,). Cases of a group are not taken as independent (Obuchowski 1997).
            None: all are.

    Returns:
        The areas, equal scores counting half, and their covariance.

    Raises:
        ValueError: If there is no positive or no negative, or shapes do not fit.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores, np.float64)
    if scores.ndim != 2 or truth.shape != scores.shape[1:]:
        raise ValueError(f'scores of {scores.shape} for a truth of {truth.shape}')
    if truth.all() or not truth.any():
        raise ValueError('expected a positive and a negative, got one kind of cases')
    positives, negatives = scores[:, truth], scores[:, ~truth]
    # How many of the others each case beats: its rank among all less that among its
    # own kind.
    ranks = rankdata(scores, axis=1)
    beaten = ranks[:, truth] - rankdata(positives, axis=1)
    beating = ranks[:, ~truth] - rankdata(negatives, axis=1)
    of_positives = beaten / negatives.shape[1]
    of_negatives = 1 - beating / positives.shape[1]
    areas = of_positives.mean(axis=1)
    if groups is None:
        groups = np.arange(len(truth))
    parts = (of_positives - areas[:, None], of_negatives - areas[:, None])
    return CorrelatedAreas(areas, _covariance(truth, *parts, np.asarray(groups)))


def _covariance(
    truth: np.ndarray, positives: np.ndarray, negatives: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """The covariance of areas (Obuchowski 1997); DeLong's where all groups are of one.

    Args:
        truth: Of shape (cases,).
        positives: Structural components of the positives, less the area: of shape
            (models, positives).
        negatives: The same of the negatives.
        groups: Of shape (cases,).
    """
    _, numbers = np.unique(groups, return_inverse=True)
    total = numbers.max() + 1
    by_group = [
        _sums(part, numbers[kind], total) / part.shape[1]
        for part, kind in ((positives, truth), (negatives, ~truth))
    ]
    having = [len(np.unique(numbers[kind])) for kind in (truth, ~truth)]
    (first, second), (one, two) = by_group, having
    # Without groups of both kinds of cases the last term is 0.
    between = first @ second.T
    return (
        _of_sample(one) * (first @ first.T)
        + _of_sample(two) * (second @ second.T)
        + _of_sample(total) * (between + between.T)
    )


def _of_sample(number: int) -> float:
    """What makes a sum over a sample unbiased; NaN of one, which tells no variance."""
    return number / (number - 1) if number > 1 else float('nan')


def _sums(values: np.ndarray, numbers: np.ndarray, total: int) -> np.ndarray:
    """Sums over the cases of each group, of shape (models, groups)."""
    return np.stack([np.bincount(numbers, row, minlength=total) for row in values])


def _interval(value: float, variance: float, confidence: float) -> np.ndarray:
    return value + np.array([-1, 1]) * norm.ppf((1 + confidence) / 2) * np.sqrt(
        variance
    )


def delong_table(
    predictions: Mapping[str, Sequence[Predictions]],
    dataset_meta: Mapping[str, Any] | None,
    baseline: str,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Compares methods with a baseline, class by class or label by label.

    Each class is taken against the rest, of two classes the second alone; a label over
    the cases in which it is known. Those that are positive in all of these cases, or in
    none, are left out.

    Args:
        predictions: Method -> predictions of its runs, of the same cases. The first run
            of each is compared; the runs do not enter the intervals.
        dataset_meta: Meta information of the data set; ``classes`` names the classes.
        baseline: Name of the method that the others are compared with.
        confidence: Of the intervals.

    Returns:
        A row a class and method: ``class``, ``method``, ``auroc``, ``low``, ``high``,
        ``difference`` to the baseline, ``difference_low``, ``difference_high``, ``p``;
        the last four are None of the baseline itself.
    """
    first = {method: runs[0] for method, runs in predictions.items()}
    if first[baseline].kept is not None:  # there are no scores
        return []
    labels = {
        method: against_rest(one.truth, one.scores) for method, one in first.items()
    }
    truth, _ = labels[baseline]
    names = class_names(dataset_meta, first[baseline].scores.shape[1])
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(names[-truth.shape[1] :]):
        known = truth[:, label] != MISSING
        positive = truth[known, label] == 1
        if positive.all() or not positive.any():
            continue
        scores = np.stack([scores[known, label] for _, scores in labels.values()])
        groups = first[baseline].groups
        areas = delong(positive, scores, None if groups is None else groups[known])
        rows += _rows(areas, name, list(first), baseline, confidence)
    return rows


def _rows(
    areas: CorrelatedAreas,
    name: str,
    methods: list[str],
    baseline: str,
    confidence: float,
) -> list[dict[str, Any]]:
    other = methods.index(baseline)
    rows = []
    for number, method in enumerate(methods):
        low, high = areas.interval(number, confidence)
        row = {'class': name, 'method': method, 'auroc': float(areas.areas[number])}
        row.update(low=low, high=high)
        compared: tuple[float | None, ...] = (None,) * 4
        if method != baseline:
            difference = areas.difference(number, other, confidence)
            compared = (*difference, areas.test(number, other)[1])
        keys = ('difference', 'difference_low', 'difference_high', 'p')
        row.update(zip(keys, compared, strict=True))
        rows.append(row)
    return rows
