"""The loss as a metric, so that a run can stop early and keep the best by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from sklearn.metrics import log_loss


@METRICS.register_module()
class ValidationLoss(BaseMetric):
    """Mean cross entropy of the true class, under the name ``loss``.

    The mean runs over all cases, so it depends neither on the batch size nor on how the
    cases lie on the ranks. (A mean of batch means, which is common, gives the cases of
    a last, smaller batch more weight.)

    It is taken from the predicted probabilities, in nats. Label smoothing, class
    weights, Mixup and whatever else the training loss holds do not enter. In
    float64, scikit-learn clips a probability at 2.2e-16, so that no single case
    costs more than 36.04. A model that has diverged and predicts NaN has the loss NaN,
    which MMEngine's ``EarlyStoppingHook`` takes as a reason to stop.

    Hooks get the value itself. MMEngine's ``LogProcessor``, though, writes a mean over
    the last ten validations of whatever has "loss" in its name, unless its
    ``mean_pattern`` says otherwise.

    Args:
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before the name as ``'prefix/loss'``. None by default.
    """

    # MMEngine warns about None; an empty prefix is silent and adds nothing.
    default_prefix = ''

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the true class and the probabilities of every case of a batch.

        Args:
            data_batch: Not used.
            data_samples: MMPretrain's data samples as dicts: ``gt_label`` of shape (1,)
                and ``pred_score``, probabilities of shape (number of classes,).
        """
        for sample in data_samples:
            # A copy: a row of the batch's tensor would keep the whole batch alive.
            score = sample['pred_score'].detach().to('cpu', torch.float32, copy=True)
            self.results.append((int(sample['gt_label']), score))

    def compute_metrics(
        self, results: list[tuple[int, torch.Tensor]]
    ) -> dict[str, float]:
        """Computes the mean cross entropy over all cases of all ranks.

        Args:
            results: The true class number and the probabilities of every case.

        Returns:
            ``{'loss': mean cross entropy in nats}``, NaN if a probability is NaN.
        """
        labels, rows = zip(*results, strict=True)
        scores = torch.stack(rows).double()
        if not scores.isfinite().all():
            return {'loss': float('nan')}
        # Rounding in half or single precision leaves sums next to 1.
        scores /= scores.sum(dim=1, keepdim=True)
        classes = range(scores.shape[1])
        return {'loss': float(log_loss(labels, scores.numpy(), labels=classes))}
