"""How far predicted probabilities can be taken at their word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS
from sklearn.metrics import brier_score_loss

from ff_mm.evaluation.bounds import CostBound
from ff_mm.evaluation.items import choose
from ff_mm.evaluation.metrics.base import Case, ScoreMetric, truth_of_all
from ff_mm.evaluation.metrics.labels import against_rest, known_elements
from ff_mm.plain import MISSING

ITEMS = ('brier', 'ece')


@METRICS.register_module()
class CalibrationMetric(ScoreMetric):
    """Brier score and expected calibration error; of both, less is better.

    ``brier``, with scikit-learn's arithmetic, is

    - of three classes or more the mean over cases of the sum over classes of
      (p_c - y_c) squared, where y_c is 1 for the true class and else 0; from 0 to 2,
    - of two classes the mean over cases of (p_1 - y_1) squared; from 0 to 1,
    - of multi-label data the mean over all known elements, of all labels together, of
      (p - y) squared; from 0 to 1.

    ``ece`` sorts predictions by their confidence into ``n_bins`` bins of equal width,
    closed on the right: bin m of M holds (m - 1) / M < confidence <= m / M, the first
    one 0 as well. It is the mean over predictions of the gap of their bin, abs(rate -
    mean confidence); from 0 to 1. Empty bins do not count. Here

    - of single-label data, whatever the number of classes, each case is a prediction,
      its confidence is the largest probability, and the rate is the accuracy in the bin
      (Guo et al.),
    - of multi-label data each known element is a prediction, all labels together, its
      confidence is the probability that the label is present, and the rate is the
      fraction in which it is.

    Both are NaN if a probability of something known is not finite (a model that has
    diverged), and, with a warning, if nothing is known.

    Args:
        items: Which to give, from ``'brier'`` and ``'ece'``.
        n_bins: Number of bins of ``ece``.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    Raises:
        ValueError: If ``items`` is empty or names an unknown score, or if ``n_bins`` is
            less than 1; at evaluation, for ``brier``, if a score is not from 0 to 1.

    References:
        Brier, "Verification of forecasts expressed in terms of probability", 1950; Guo,
        Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017.
    """

    def __init__(
        self,
        items: Sequence[str] = ITEMS,
        n_bins: int = 15,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if n_bins < 1:
            raise ValueError(f'n_bins must be 1 or more, got {n_bins!r}')
        self.items = choose('items', items, ITEMS)
        self.n_bins = n_bins

    def compute_metrics(self, results: list[Case]) -> dict[str, float]:
        """Computes the chosen scores over all cases of all ranks.

        Args:
            results: Truth and scores of every case.

        Returns:
            Name of each chosen score -> its value.
        """
        truth, scores = known_elements(results)
        if not scores.size:
            self.warn('nothing is known of any case, so all scores are NaN')
        if not scores.size or not np.isfinite(scores).all():
            return dict.fromkeys(self.items, float('nan'))
        metrics = {}
        if 'brier' in self.items:
            metrics['brier'] = brier_score(truth, scores)
        if 'ece' in self.items:
            right, confidence = _confidence(truth, scores)
            metrics['ece'] = expected_calibration_error(right, confidence, self.n_bins)
        return metrics

    def value(self, name: str, results: list[Case]) -> float:
        """Computes the Brier score alone, the one that has a bound."""
        truth, scores = known_elements(results)
        return brier_score(truth, scores) if np.isfinite(scores).all() else float('nan')

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> CostBound | None:
        """Returns a bound on the Brier score, if anything is known of any case.

        The calibration error has none: further mistakes can make up for confidence that
        is too high.
        """
        truth = truth_of_all(samples)
        chosen = name == 'brier' and name in self.items and rule == 'less'
        if not chosen or truth is None or not (truth != MISSING).any():
            return None
        return CostBound(truth, squared_errors, 1.0)


def squared_errors(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the sum of (p - y) squared of each case, as the Brier score has it.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.labels.stack` gives it.
        scores: Likewise; probabilities.

    Returns:
        Float64 of shape (cases,); NaN where a score of something known is none.
    """
    truth, scores = against_rest(truth, scores)
    squares = np.square(scores - truth)
    squares[~((scores >= 0) & (scores <= 1))] = np.nan
    return np.where(truth == MISSING, 0, squares).sum(axis=1)


def brier_score(truth: np.ndarray, scores: np.ndarray) -> float:
    """Returns the Brier score, as :class:`CalibrationMetric` defines it.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.labels.known_elements` gives it.
        scores: Likewise; probabilities.

    Raises:
        ValueError: If a score is less than 0 or more than 1.
    """
    if scores.ndim == 1:
        return float(brier_score_loss(truth, scores, pos_label=1))
    truth, scores = against_rest(truth, scores)
    mean = brier_score_loss(truth.ravel(), scores.ravel(), pos_label=1)
    return scores.shape[1] * float(mean)


def expected_calibration_error(
    right: np.ndarray, confidence: np.ndarray, n_bins: int
) -> float:
    """Returns the mean gap between rate and confidence, in bins of equal width.

    Args:
        right: What came true, 1 or 0, or True or False, of shape (predictions,).
        confidence: Probability given to that, of shape (predictions,).
        n_bins: Number of bins from 0 to 1, closed on the right.
    """
    bins = bin_numbers(confidence, n_bins)
    # Of one bin: abs(sum of (right - confidence)) / n is its gap times its share.
    return float(np.abs(np.bincount(bins, right - confidence)).sum() / len(bins))


def bin_numbers(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Returns the bins of equal width, closed on the right, that probabilities are in.

    Args:
        confidence: Probabilities, of any shape.
        n_bins: Number of bins from 0 to 1.
    """
    # In the precision of the scores, so that a score of 0.2 is not beyond 0.2.
    edges = np.linspace(0, 1, n_bins + 1, dtype=np.float32)
    return np.digitize(confidence, edges[1:-1], right=True)


def _confidence(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What came true of each prediction, and the probability that was given to it."""
    if scores.ndim == 1:
        return truth, scores
    return scores.argmax(axis=1) == truth, scores.max(axis=1)
