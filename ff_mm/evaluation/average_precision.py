"""Average precision, with missing labels and absent classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS
from sklearn.metrics import average_precision_score

from ff_mm.evaluation.bounds import AveragePrecisionBound
from ff_mm.evaluation.metrics.ranking import MeanOverLabels


@METRICS.register_module()
class MeanAveragePrecision(MeanOverLabels):
    """Average precision, which sums up the precision-recall curve, from 0 to 1.

    Of one label it is the sum over thresholds n, from the highest score down, of
    (R_n - R_{n-1}) P_n, where precision and recall count every score of at least the
    threshold as predicted. Equal scores are one threshold; nothing is interpolated. The
    arithmetic is scikit-learn's ``average_precision_score``. Scores without any skill
    give the fraction of cases in which the label is present.

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

    def score(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """Returns the average precision of one label."""
        return average_precision_score(truth, scores)

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> AveragePrecisionBound | None:
        """Returns a bound on the mean or, of multi-label data, on one label's value."""
        return self._rank_bound(AveragePrecisionBound, name, rule, samples)
