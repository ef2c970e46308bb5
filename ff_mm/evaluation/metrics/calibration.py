"""How far predicted probabilities can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmpretrain.registry import METRICS

from ff_mm.evaluation.metrics.base import (
    Claim,
    ScoreMetric,
    Scores,
    choose,
    require_probabilities,
)
from ff_mm.evaluation.metrics.labels import against_rest, mean_over_known
from ff_mm.plain import MISSING

ITEMS = ('brier', 'ece')


@METRICS.register_module()
class CalibrationMetric(ScoreMetric):
    """Brier score and expected calibration error; of both, less is better.

    ``brier`` is

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
            less than 1.
        SampleError: At evaluation, for ``brier``, if a score is not from 0 to 1.

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

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the chosen scores.

        Args:
            truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
            predicted: Probabilities, likewise.

        Raises:
            SampleError: For ``brier``, if a score is not from 0 to 1.
        """
        if not (truth != MISSING).any():
            self.warn('nothing is known of any case, so all scores are NaN')
        means = {}
        if 'brier' in self.items:
            parts = squared_errors(truth, predicted)[:, None]
            means['brier'] = mean_over_known(truth, predicted, parts)
        if 'ece' in self.items:
            parts = _gaps(truth, predicted, self.n_bins)
            means['ece'] = mean_over_known(truth, predicted, parts)
        return lambda counts: {name: mean(counts) for name, mean in means.items()}

    def claim(self, name: str) -> Claim | None:
        """Says that right probabilities are best for the Brier score.

        By how many it is divided is known from the truth, and no square is negative. Of
        the calibration error nobody can say so: further mistakes can make up for
        confidence that is too high.
        """
        return Claim('less') if name == 'brier' else None

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns the squares of each case, 1 where they are not finite."""
        squares = squared_errors(truth, np.clip(predicted, 0, 1))
        return np.where(np.isfinite(squares), squares, 1)


def squared_errors(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the sum of (p - y) squared of each case, as the Brier score has it.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
        scores: Likewise; probabilities.

    Returns:
        Float64 of shape (cases,); NaN where a score of something known is not finite.

    Raises:
        SampleError: If a score is not from 0 to 1.
    """
    truth, scores = against_rest(truth, scores)
    require_probabilities(truth, scores)
    with np.errstate(invalid='ignore'):
        squares = np.square(scores - truth)
    return np.where(truth == MISSING, 0, squares).sum(axis=1)


def bin_numbers(confidence: np.ndarray, n_bins: int) -> np.ndarray:
    """Returns the bins of equal width, closed on the right, that probabilities are in.

    Args:
        confidence: Probabilities, of any shape.
        n_bins: Number of bins from 0 to 1.
    """
    # In the precision of the scores, so that a score of 0.2 is not beyond 0.2.
    edges = np.linspace(0, 1, n_bins + 1, dtype=np.float32)
    return np.digitize(confidence, edges[1:-1], right=True)


def _gaps(truth: np.ndarray, scores: np.ndarray, n_bins: int) -> np.ndarray:
    """What came true less its probability, by the bin of the probability.

    Of one bin, the sum over n predictions, divided by n and without its sign, is the
    gap of the bin times its share.

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
