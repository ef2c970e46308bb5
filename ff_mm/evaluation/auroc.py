"""Area under the ROC curve, with missing labels and absent classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS
from sklearn.metrics import roc_auc_score

from ff_mm.evaluation.bounds import AUROCBound
from ff_mm.evaluation.metrics.ranking import MeanOverLabels


@METRICS.register_module()
class AUROC(MeanOverLabels):
    """Area under the receiver operating characteristic curve, from 0 to 1.

    Of one label it is the probability that a case in which the label is present has a
    higher score than one in which it is absent, where equal scores count half; the
    arithmetic is scikit-learn's ``roc_auc_score``. ``auroc`` is

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

    def score(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """Returns the area under the curve of one label."""
        return roc_auc_score(truth, scores)

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> AUROCBound | None:
        """Returns a bound on the mean or, of multi-label data, on one label's value."""
        return self._rank_bound(AUROCBound, name, rule, samples)
