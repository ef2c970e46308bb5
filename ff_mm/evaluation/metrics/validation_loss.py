"""The loss as a metric, so that a run can stop early and keep the best by it."""

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
from ff_mm.evaluation.metrics.labels import balanced_mean, mean_over_known
from ff_mm.plain import MISSING

# Probabilities are clipped at this and at 1 less this, as scikit-learn does.
_LEAST = float(np.finfo(np.float64).eps)

ITEMS = ('loss', 'class_balanced_loss')


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
    float64, as in scikit-learn, a probability is clipped at 2.2e-16, so that no single
    case or element costs more than 36.04. A model that has diverged and predicts NaN
    has the loss NaN, which MMEngine's ``EarlyStoppingHook`` takes as a reason to stop.

    ``class_balanced_loss``, if asked for, counts rare classes as much as frequent ones:
    of single-label data it is the mean over classes, of those that occur in the labels,
    of the mean of -log p over their cases. Of multi-label data it is the mean over
    labels, of each the mean of two: the mean cost where it is present, and that where
    it is absent (of a label that is always one of them, that one). All else is as with
    ``loss``.

    Hooks get the value itself. MMEngine's ``LogProcessor``, though, writes a mean over
    the last ten validations of whatever has "loss" in its name, unless its
    ``mean_pattern`` says otherwise.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before the name as ``'prefix/loss'``. None by default.
        items: Which to give, from ``'loss'`` and ``'class_balanced_loss'``.

    Raises:
        ValueError: If ``items`` is empty or names an unknown score.
    """

    def __init__(
        self,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        items: Sequence[str] = ITEMS[:1],
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.items = choose('items', items, ITEMS)

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the chosen means of the cross entropy over all that is known.

        Args:
            truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
            predicted: Probabilities, likewise.

        Raises:
            SampleError: If a score is not from 0 to 1.
        """
        if not (truth != MISSING).any():
            self.warn('nothing is known of any case, so the loss is NaN')
        costs = cross_entropies(truth, predicted)
        means = {}
        if 'loss' in self.items:
            parts = costs.sum(axis=1, keepdims=True)
            means['loss'] = mean_over_known(truth, predicted, parts)
        if 'class_balanced_loss' in self.items:
            balanced = balanced_mean(truth, predicted, costs)
            means['class_balanced_loss'] = balanced
        return lambda counts: {name: mean(counts) for name, mean in means.items()}

    def claim(self, name: str) -> Claim | None:
        """Says that right probabilities are best.

        By how many it is divided is known from the truth, of each class and label, too,
        and none costs less than nothing.
        """
        return Claim('less') if name in self.items else None

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns what each case costs, the most possible where it is not finite."""
        costs = cross_entropies(truth, np.clip(predicted, 0, 1)).sum(axis=1)
        return np.where(np.isfinite(costs), costs, -np.log(_LEAST))


def cross_entropies(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the cross entropy of each case, or of each of its labels, in nats.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
        scores: Likewise; probabilities, or of classes anything in proportion to them.

    Returns:
        Float64 of shape (cases, 1 or labels), 0 where a label is missing; NaN where a
        score of something known is not finite.

    Raises:
        SampleError: If a probability is not from 0 to 1.
    """
    if truth.ndim == 1:
        # Rounding in half or single precision leaves sums next to 1. A diverged model
        # has sums of 0 or that are not finite: NaN, without a word.
        with np.errstate(all='ignore'):
            scores = scores / scores.sum(axis=1, keepdims=True)
        right = scores[np.arange(len(truth)), truth][:, None]
        known = np.ones_like(right, bool)
    else:
        right = np.where(truth == 1, scores, 1 - scores)
        known = truth != MISSING
    require_probabilities(truth, scores)
    costs = -np.log(np.clip(right, _LEAST, 1 - _LEAST))
    return np.where(known, costs, 0)
