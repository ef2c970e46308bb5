"""The loss as a metric, so that a run can stop early and keep the best by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS
from sklearn.metrics import log_loss

from ff_mm.evaluation.bounds import CostBound
from ff_mm.evaluation.metrics.base import Case, ScoreMetric, truth_of_all
from ff_mm.evaluation.metrics.labels import known_elements
from ff_mm.plain import MISSING

#: scikit-learn clips probabilities at this and at 1 less this.
_LEAST = float(np.finfo(np.float64).eps)


@METRICS.register_module()
class ValidationLoss(ScoreMetric):
    """Mean cross entropy of the truth, under the name ``loss``.

    Of single-label data (``gt_label``) it is the mean over all cases of -log p of the
    true class. Of multi-label data (``gt_score``) it is the mean over all known
    elements, of all labels together, of the binary cross entropy: -log p where the
    label is present, -log(1 - p) where it is absent. Elements that are missing (-1) do
    not count, and if all are, the loss is NaN and a warning says so.

    The mean depends neither on the batch size nor on how the cases lie on the ranks. (A
    mean of batch means, which is common, gives the cases of a last, smaller batch more
    weight.)

    It is taken from the predicted probabilities, in nats. Label smoothing, weights of
    classes or labels, Mixup and whatever else the training loss holds do not enter. In
    float64, scikit-learn clips a probability at 2.2e-16, so that no single case or
    element costs more than 36.04. A model that has diverged and predicts NaN has the
    loss NaN, which MMEngine's ``EarlyStoppingHook`` takes as a reason to stop.

    Hooks get the value itself. MMEngine's ``LogProcessor``, though, writes a mean over
    the last ten validations of whatever has "loss" in its name, unless its
    ``mean_pattern`` says otherwise.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before the name as ``'prefix/loss'``. None by default.
    """

    def compute_metrics(self, results: list[Case]) -> dict[str, float]:
        """Computes the mean cross entropy over all that is known, of all ranks.

        Args:
            results: Truth and probabilities of every case.

        Returns:
            ``{'loss': mean cross entropy in nats}``, NaN if a probability of something
            known is NaN, or if nothing is known.
        """
        truth, scores = known_elements(results)
        if not scores.size:
            self.warn('nothing is known of any case, so the loss is NaN')
        if not scores.size or not np.isfinite(scores).all():
            return {'loss': float('nan')}
        if scores.ndim == 1:
            return {'loss': float(log_loss(truth, scores, labels=[0, 1]))}
        # Rounding in half or single precision leaves sums next to 1.
        scores /= scores.sum(axis=1, keepdims=True)
        classes = range(scores.shape[1])
        return {'loss': float(log_loss(truth, scores, labels=classes))}

    def value(self, name: str, results: list[Case]) -> float:
        """Computes the loss."""
        return self.compute_metrics(results)[name]

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> CostBound | None:
        """Returns a bound on the loss, if anything is known of any case."""
        truth = truth_of_all(samples)
        if truth is None or (name, rule) != ('loss', 'less'):
            return None
        known = (truth != MISSING).any()
        return CostBound(truth, cross_entropy, -np.log(_LEAST)) if known else None


def cross_entropy(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the cross entropy of each case, in nats.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.labels.stack` gives it.
        scores: Likewise; probabilities, or of classes anything in proportion to them.

    Returns:
        Float64 of shape (cases,), over the known labels the sum; NaN where a score of
        something known is no probability.
    """
    if truth.ndim == 1:
        # A diverged model has sums of 0 or that are not finite: NaN, without a word.
        with np.errstate(all='ignore'):
            scores = scores / scores.sum(axis=1, keepdims=True)
        right = scores[np.arange(len(truth)), truth][:, None]
        known = np.ones_like(right, bool)
    else:
        right = np.where(truth == 1, scores, 1 - scores)
        known = truth != MISSING
    costs = -np.log(np.clip(right, _LEAST, 1 - _LEAST))
    costs[~((right >= 0) & (right <= 1))] = np.nan
    return np.where(known, costs, 0).sum(axis=1)
