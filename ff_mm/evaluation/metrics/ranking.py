"""Metrics that rank cases: one value a label, and their mean."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from mmpretrain.registry import METRICS

from ff_mm.evaluation.metrics.base import (
    BEYOND,
    Claim,
    ScoreMetric,
    Scores,
)
from ff_mm.evaluation.metrics.counts import mean_over, quotient
from ff_mm.evaluation.metrics.labels import against_rest, class_names
from ff_mm.plain import MISSING


class Ranking:
    """The cases in which a label is known, from the highest score down.

    Args:
        truth: 1, 0 or -1 (missing), of shape (cases,).
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
        return counts[:, self._broken].sum(axis=1) > 0


class MeanOverLabels(ScoreMetric):
    """A value of each label that is both present and absent, and the mean of these.

    What counts as a label is said by
    :func:`ff_mm.evaluation.metrics.labels.against_rest`; each counts over the cases in
    which it is known. A subclass gives the ``name`` of the metric and its value for one
    label.

    Args:
        per_label: Whether to give the value of every label as well, as
            ``'<name>/<label>'``. None, the default: of multi-label data only.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.
    """

    name: str
    right_scores = BEYOND

    def __init__(
        self,
        per_label: bool | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.per_label = per_label

    @abstractmethod
    def of_label(
        self, ranking: Ranking, positive: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """Returns the value of a label in each resample, of shape (resamples,).

        Args:
            ranking: The cases.
            positive: As :meth:`Ranking.weigh` gives it. Where it is all cases, or none,
                the value does not matter.
            first: Likewise.
        """

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the mean under ``name``, and what is said of the labels.

        That is the number of those that are not in the mean, under
        ``'<name>_left_out'``, and the values of the labels if they are wanted.

        Args:
            truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
            predicted: Scores, likewise.
        """
        per_label = truth.ndim == 2 if self.per_label is None else self.per_label
        names = class_names(self.dataset_meta, predicted.shape[1])
        truth, predicted = against_rest(truth, predicted)
        if not ((truth == 1).any(axis=0) & (truth == 0).any(axis=0)).any():
            self.warn(
                'no label is present in a case and absent from another, so '
                f'{self.name} is NaN'
            )
        rankings = [Ranking(*label) for label in zip(truth.T, predicted.T, strict=True)]
        # Of two classes the first is left out.
        names = names[-len(rankings) :]

        def values(counts: np.ndarray) -> dict[str, np.ndarray]:
            found = [self._value(ranking, counts) for ranking in rankings]
            of_labels, usable = (np.stack(a, axis=1) for a in zip(*found, strict=True))
            metrics = {
                self.name: mean_over(of_labels, usable),
                f'{self.name}_left_out': (~usable).sum(axis=1),
            }
            if per_label:
                columns = np.where(usable, of_labels, np.nan).T
                metrics.update(
                    (f'{self.name}/{name}', of_label)
                    for name, of_label in zip(names, columns, strict=True)
                )
            return metrics

        return values

    def _value(
        self, ranking: Ranking, counts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values of a label, and whether it is both present and absent."""
        positive, first = ranking.weigh(counts)
        present, known = positive.sum(axis=1), first[:, -1]
        with np.errstate(all='ignore'):
            values = self.of_label(ranking, positive, first)
        values[ranking.is_broken(counts)] = np.nan
        return values, (present > 0) & (present < known)


@METRICS.register_module()
class AUROC(MeanOverLabels):
    """Area under the receiver operating characteristic curve, from 0 to 1.

    Of one label it is the probability that a case in which the label is present has a
    higher score than one in which it is absent, where equal scores count half.
    ``auroc`` is

    - of multi-label data (``gt_score``) the unweighted mean over labels, each over the
      cases in which it is known (not -1),
    - of single-label data with three classes or more the unweighted mean over classes,
      each against the rest by its own score,
    - of two classes the value of class 1, by its score.

    A label or class of which all known cases are present, or all absent, or that is
    known in no case, has no such value: it is left out of the mean. ``auroc_left_out``
    (an int, always given) says how many those are. If none remains, ``auroc`` is NaN
    and a warning says so. A label with a score that is not finite (a model that has
    diverged) has NaN, and so has the mean.

    ``auroc/<label>`` is the value of each label by its name in the data set, or its
    number; NaN of those that are left out. They are given of multi-label data, unless
    ``per_label`` says otherwise.

    Args:
        per_label: Whether to give the value of every label or class. None, the
            default: of multi-label data only.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    References:
        Hanley and McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", 1982.

    Examples:
        >>> val_evaluator = [dict(type='AUROC'), dict(type='ValidationLoss')]
        >>> selection = dict(metric='auroc', rule='greater')
    """

    name = 'auroc'

    def of_label(
        self, ranking: Ranking, positive: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """Returns the area under the curve."""
        present, known = positive.sum(axis=1), first[:, -1]
        # Cases before each positive one, of equal scores half.
        before = (first[:, ranking.before] + first[:, ranking.until]) / 2
        # Of all pairs of positive cases one is before the other, or each half.
        above = (positive * before).sum(axis=1) - present**2 / 2
        return 1 - above / (present * (known - present))

    def claim(self, name: str) -> Claim | None:
        """Says that a perfect ranking of the cases to come is best.

        Of all pairs, a case in which a label is present and one in which it is absent,
        those of two cases seen are what they are, and the others are won. The number of
        pairs lost is exact, and what follows rounds monotonically. (The best rankings
        of several labels exclude each other only where scores sum to one, as those of
        classes; the bound is then looser.)
        """
        return None if name.endswith('_left_out') else Claim('greater', margin=0)


@METRICS.register_module()
class MeanAveragePrecision(MeanOverLabels):
    """Average precision, which sums up the precision-recall curve, from 0 to 1.

    Of one label it is the sum over thresholds n, from the highest score down, of
    (R_n - R_{n-1}) P_n, where precision and recall count every score of at least the
    threshold as predicted. Equal scores are one threshold; nothing is interpolated.
    Scores without any skill give the fraction of cases in which the label is present.

    ``average_precision`` is the mean over labels or classes, ``average_precision/
    <label>`` the value of one and ``average_precision_left_out`` how many have none.
    What the mean runs over, what is left out of it, and when there is NaN are exactly
    as in :class:`ff_mm.evaluation.AUROC`.

    MMPretrain's ``AveragePrecision`` is another: in percent, it counts a label that is
    never present as 0, and equal scores in the order of the cases.

    Args:
        per_label: Whether to give the value of every label or class. None, the
            default: of multi-label data only.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.
    """

    name = 'average_precision'

    def of_label(
        self, ranking: Ranking, positive: np.ndarray, first: np.ndarray
    ) -> np.ndarray:
        """Returns the average precision."""
        hits = np.cumsum(positive, axis=1)[:, ranking.last]
        precision = quotient(hits, first[:, ranking.until])
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)

    def claim(self, name: str) -> Claim | None:
        """Says that a perfect ranking of the cases to come is best.

        The average precision is the mean over the cases in which the label is present
        of a / (a + b): a of those, b of the others have at least the score of the case.
        It rises with a and falls with b, so the best for every case seen is that all to
        come of the former have higher scores, and all of the latter lower ones; the
        former then have 1.
        """
        return None if name.endswith('_left_out') else Claim('greater')
