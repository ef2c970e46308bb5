"""Scores of multi-label classification with missing labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS
from sklearn.metrics import accuracy_score

from ff_mm.evaluation.binary_scores import BINARY_SCORES
from ff_mm.evaluation.bounds import Bound, LabelBound
from ff_mm.evaluation.items import choose
from ff_mm.evaluation.metrics.base import (
    Case,
    SampleError,
    ScoreMetric,
    truth_of_all,
)
from ff_mm.evaluation.metrics.labels import Label, labels_of, mean, number_of
from ff_mm.plain import MISSING

ITEMS = ('accuracy', *(f'macro_{name}' for name in BINARY_SCORES))


@METRICS.register_module()
class MultilabelMetric(ScoreMetric):
    """Scores of the predicted labels of multi-label data, over what is known.

    A label is predicted if its score is at least the threshold. Only known elements
    enter, those of which ``gt_score`` is 1 or 0; MMPretrain's ``MultiLabelMetric``
    has no value for missing. The scores are fractions, plain Python floats under
    exactly the names in ``items``:

    - ``accuracy``: the fraction of known elements, of all labels together, that are
      predicted as they are.
    - ``macro_recall``, ``macro_precision``, ``macro_f1``, ``macro_specificity``: the
      mean over labels of recall TP / (TP + FN), precision TP / (TP + FP), F1
      2 TP / (2 TP + FP + FN) and specificity TN / (TN + FP), each counted over the
      cases in which the label is known. The mean runs over the labels that are known in
      any case; a quotient 0 / 0 counts as 0, as in scikit-learn with
      ``zero_division=0``. So a label that is never present has recall 0.

    All are NaN, with a warning, if nothing is known. A label with a score that is not
    finite (a model that has diverged) has NaN, and so has every mean it is in.

    Args:
        items: Which of these scores to give; without ``'accuracy'`` by default, which
            is high for whoever predicts nothing where findings are rare.
        per_label: Which scores to give of each label, from ``'recall'``,
            ``'precision'``, ``'f1'`` and ``'specificity'``, as ``'recall/Edema'``. The
            name of the label is that of the data set, or its number. A label that is
            never known has NaN.
        threshold: From which score on a label is predicted.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    Raises:
        ValueError: If ``items`` is empty, or it or ``per_label`` names an unknown
            score.
    """

    def __init__(
        self,
        items: Sequence[str] = ITEMS[1:],
        per_label: Sequence[str] = (),
        threshold: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.items = choose('items', items, ITEMS)
        self.per_label = choose('per_label', per_label, BINARY_SCORES, empty=True)
        # In the precision of the scores, so that a score of 0.7 reaches 0.7.
        self.threshold = np.float32(threshold)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:
        """Keeps truth and scores of every case, see :meth:`ScoreMetric.process`.

        Raises:
            SampleError: Also if a data sample is not multi-label.
        """
        if any('gt_score' not in sample for sample in data_samples):
            raise SampleError(
                'MultilabelMetric: a data sample has no gt_score; single-label data '
                "need dict(type='MulticlassMetric')"
            )
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list[Case]) -> dict[str, float]:
        """Computes the chosen scores over the known elements of all ranks.

        Args:
            results: Truth and scores of every case.

        Returns:
            Name of each chosen score -> its value, a fraction from 0 to 1 or NaN.
        """
        labels = labels_of(results, self.dataset_meta)
        known = [label for label in labels if label.is_known]
        if not known:
            self.warn('no label is known in any case, so all scores are NaN')
        metrics = {item: self._item(item, known) for item in self.items}
        for name in self.per_label:
            for label in labels:
                metrics[f'{name}/{label.name}'] = self._score(name, label)
        return metrics

    def value(self, name: str, results: list[Case]) -> float:
        """Computes one of ``items``, or of the scores of a label, alone."""
        labels = labels_of(results, self.dataset_meta)
        if name in self.items:
            return self._item(name, [label for label in labels if label.is_known])
        score, of_label = name.split('/', 1)
        return next(self._score(score, x) for x in labels if x.name == of_label)

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> Bound | None:
        """Returns a bound on one of ``items`` or on a score of a label."""
        truth = truth_of_all(samples)
        if truth is None or truth.ndim != 2 or rule != 'greater':
            return None
        known = (truth != MISSING).any(axis=0)
        if name in self.items:
            rate = None if name == 'accuracy' else name.removeprefix('macro_')
            bound = LabelBound(truth, rate, None, self.threshold)
            return bound if known.any() else None
        score, _, of_label = name.partition('/')
        label = number_of(of_label, self.dataset_meta, truth.shape[1])
        if score not in self.per_label or label is None or not known[label]:
            return None
        return LabelBound(truth, score, label, self.threshold)

    def _item(self, item: str, known: Sequence[Label]) -> float:
        if item == 'accuracy':
            return self._accuracy(known)
        name = item.removeprefix('macro_')
        return mean([self._score(name, label) for label in known])

    def _score(self, name: str, label: Label) -> float:
        if not (label.is_known and label.is_finite):
            return float('nan')
        return float(BINARY_SCORES[name](label.truth, self._predicted(label)))

    def _accuracy(self, known: Sequence[Label]) -> float:
        if not known or not all(label.is_finite for label in known):
            return float('nan')
        truth = np.concatenate([label.truth for label in known])
        predicted = np.concatenate([self._predicted(label) for label in known])
        return float(accuracy_score(truth, predicted))

    def _predicted(self, label: Label) -> np.ndarray:
        return label.scores >= self.threshold
