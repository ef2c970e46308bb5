"""Scores of the ranking of the cases of resamples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ff_mm.evaluation.metrics.base import Case
from ff_mm.evaluation.metrics.labels import against_rest, stack
from ff_mm.evaluation.metrics.ranking import MeanOverLabels
from ff_mm.evaluation.weighted.weighted_metric import quotient
from ff_mm.plain import MISSING


class Ranking:
    """The cases in which a label is known, from the highest score down.

    Args:
        truth: 1, 0 or -1 (missing), of shape (cases,); both 1 and 0 occur.
        scores: Of the same shape.

    Attributes:
        before: For each positive case, in the order of the ranking, how many cases have
            a higher score.
        until: How many have a higher or an equal one.
        last: The number of the last positive case with an equal score.
    """

    def __init__(self, truth: np.ndarray, scores: np.ndarray) -> None:
        known = np.flatnonzero(truth != MISSING)
        self._cases = known[np.argsort(-scores[known], kind='stable')]
        ranked = scores[self._cases]
        self._broken = self._cases[~np.isfinite(ranked)]
        self._positive = np.flatnonzero(truth[self._cases] == 1)
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        ends = np.append(starts[1:], len(ranked))
        score = np.searchsorted(starts, self._positive, side='right') - 1
        self.before, self.until = starts[score], ends[score]
        self.last = np.searchsorted(score, score, side='right') - 1

    def weigh(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns what a resample has of the cases of the ranking.

        Args:
            counts: How often each case is in each resample, (resamples, cases).

        Returns:
            How often each positive case counts, of shape (resamples, positives); and
            how many cases the first of the ranking are, from none to all of them, of
            shape (resamples, known cases + 1).
        """
        counts = np.take(counts, self._cases, axis=1)
        first = np.zeros((len(counts), counts.shape[1] + 1))
        np.cumsum(counts, axis=1, out=first[:, 1:])
        return np.take(counts, self._positive, axis=1), first

    def is_broken(self, counts: np.ndarray) -> np.ndarray:
        """Returns which resamples have a case whose score is not finite."""
        return counts[:, self._broken].any(axis=1)


class WeightedRanks(ABC):
    """The mean over labels of a metric of :mod:`ff_mm.evaluation.metrics.ranking`.

    Cases are sorted once; a resample only changes how much each of them counts.

    Args:
        metric: The metric.
        results: Truth and scores of each case.
    """

    def __init__(self, metric: MeanOverLabels, results: Sequence[Case]) -> None:
        self._name = metric.name
        truth, scores = against_rest(*stack(results))
        self._rankings = [
            Ranking(truth[:, label], scores[:, label])
            for label in range(truth.shape[1])
            # What all cases leave undefined, no resample defines.
            if {0, 1} <= set(truth[:, label])
        ]

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the mean, see :class:`~.weighted_metric.WeightedMetric`."""
        total, usable = np.zeros(len(counts)), np.zeros(len(counts))
        for ranking in self._rankings:
            positive, first = ranking.weigh(counts)
            present, known = positive.sum(axis=1), first[:, -1]
            has_both = (present > 0) & (present < known)
            with np.errstate(all='ignore'):
                values = self._value(ranking, positive, first)
            values[ranking.is_broken(counts)] = np.nan
            total += np.where(has_both, values, 0)
            usable += has_both
        return {self._name: quotient(total, usable, np.nan)}

    @abstractmethod
    def _value(
        self, ranking: Ranking, positive: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """Returns the value of a label in each resample, of shape (resamples,).

        Args:
            ranking: The cases.
            positive: As :meth:`Ranking.weigh` gives it. Where it is all cases, or none,
                the value does not matter.
            first: Likewise.
        """


class WeightedAUROC(WeightedRanks):
    """``auroc`` of :class:`ff_mm.evaluation.AUROC`."""

    def _value(
        self, ranking: Ranking, positive: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        present, known = positive.sum(axis=1), first[:, -1]
        # Cases before each positive one, of equal scores half.
        before = (first[:, ranking.before] + first[:, ranking.until]) / 2
        # Of all pairs of positive cases one is before the other, or each half.
        above = (positive * before).sum(axis=1) - present**2 / 2
        return 1 - above / (present * (known - present))


class WeightedAveragePrecision(WeightedRanks):
    """``average_precision`` of :class:`ff_mm.evaluation.MeanAveragePrecision`."""

    def _value(
        self, ranking: Ranking, positive: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        hits = np.cumsum(positive, axis=1)[:, ranking.last]
        precision = quotient(hits, first[:, ranking.until], 0)
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)
