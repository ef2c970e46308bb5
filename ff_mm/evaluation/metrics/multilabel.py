"""Scores of multi-label classification with missing labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS

from ff_mm.evaluation.metrics.base import (
    BEYOND,
    Cases,
    Claim,
    SampleError,
    ScoreMetric,
    Scores,
    choose,
)
from ff_mm.evaluation.metrics.counts import RATES, Counts, mean_over, quotient
from ff_mm.evaluation.metrics.labels import class_names, sums_over_cases
from ff_mm.evaluation.metrics.soft import (
    SOFT,
    any_soft,
    goal,
    kind_of,
    shares_of_labels,
    with_soft,
)
from ff_mm.plain import MISSING

ITEMS = ('accuracy', *(f'macro_{name}' for name in RATES))


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

    - ``soft_accuracy``, ``soft_macro_recall``, ``soft_macro_f1`` and so on, for each of
      the above: the same of what is expected if labels are drawn by their
      probabilities, whatever the threshold. So of one label ``soft_macro_recall`` is
      the mean probability where it is present. They move with every probability, where
      the others move by whole cases. Where all probabilities are 0 or 1 they are the
      others.

    All are NaN, with a warning, if nothing is known. A label with a score that is not
    finite (a model that has diverged) has NaN, and so has every mean it is in.

    Args:
        items: Which of these scores to give; without ``'accuracy'`` by default, which
            is high for whoever predicts nothing where findings are rare.
        per_label: Which scores to give of each label, from ``'recall'``,
            ``'precision'``, ``'f1'`` and ``'specificity'``, as ``'recall/Edema'``, and
            from ``'soft_recall'`` and so on. The name of the label is that of the data
            set, or its number. A label that is never known has NaN.
        threshold: From which score on a label is predicted.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    Raises:
        ValueError: If ``items`` is empty, or it or ``per_label`` names an unknown
            score.
    """

    right_scores = BEYOND

    def __init__(
        self,
        items: Sequence[str] = ITEMS[1:],
        per_label: Sequence[str] = (),
        threshold: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.items = choose('items', items, with_soft(ITEMS))
        self.per_label = choose('per_label', per_label, with_soft(RATES), empty=True)
        self._is_soft = any_soft((*self.items, *self.per_label))
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

    def kept(self, truth: np.ndarray, scores: np.ndarray) -> Cases | None:
        """Returns truth and scores as they are, if they are multi-label."""
        return super().kept(truth, scores) if truth.ndim == 2 else None

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the scores over the known elements.

        Args:
            truth: 1, 0 or -1 (missing), of shape (cases, labels).
            predicted: Scores of the same shape.

        Raises:
            SampleError: With soft scores, if a score is not from 0 to 1.
        """
        known, present = truth != MISSING, truth == 1
        if not known.any():
            self.warn('no label is known in any case, so all scores are NaN')
        found = known & (predicted >= self.threshold)
        broken = (known & ~np.isfinite(predicted)).astype(np.float64)
        # Hits, true, predicted and known, as sums over cases want them.
        kinds = [k.astype(np.float64) for k in (present & found, present, found, known)]
        sums_of = {'': lambda counts: Counts(*(counts @ kind for kind in kinds))}
        if self._is_soft:
            sums_of[SOFT] = _soft_counts(truth, predicted)
        names = class_names(self.dataset_meta, truth.shape[1])

        def values(counts: np.ndarray) -> dict[str, np.ndarray]:
            sums = {kind: of(counts) for kind, of in sums_of.items()}
            is_broken = counts @ broken > 0
            metrics = {
                item: _item(goal(item), sums[kind_of(item)], is_broken)
                for item in self.items
            }
            for item in self.per_label:
                rates = _rates(goal(item), sums[kind_of(item)], is_broken)
                rates[sums[''].cases == 0] = np.nan
                columns = zip(names, rates.T, strict=True)
                metrics.update(
                    (f'{item}/{name}', of_label) for name, of_label in columns
                )
            return metrics

        return values

    def claim(self, name: str) -> Claim | None:
        """Says that right labels are best for all scores.

        The labels that count, those known in any case, do not depend on predictions.
        With what is known and present fixed, no rate rises with a case that is missed
        (FN) or false (FP): numerators lose, and denominators keep or gain. (Precision
        and F1 are h / (h + f) and 2 h / (p + h + f) with h = TP, f = FP and p = TP +
        FN, and rise with h.) In floating point, too: a division of whole numbers rounds
        monotonically, and so does each sum of a mean.

        Of soft scores a mistake may be any part of a case. Sums of parts round, though.
        """
        return Claim('greater') if kind_of(name) else Claim('greater', margin=0)

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns scores beyond any threshold, of multi-label data."""
        return super().perfect(truth, classes) if truth.ndim == 2 else None

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns how many labels of each case are predicted wrongly.

        Of a soft score it is how far their probabilities are off.
        """
        if kind_of(name):
            return super().errors(name, truth, predicted)
        right = (predicted >= self.threshold) == (truth == 1)
        wrong = (truth != MISSING) & ~(right & np.isfinite(predicted))
        return wrong.sum(axis=1).astype(np.float64)


def _soft_counts(
    truth: np.ndarray, predicted: np.ndarray
) -> Callable[[np.ndarray], Counts]:
    """The counts of labels, (resamples, labels), predicted by their probabilities."""
    shares = shares_of_labels(truth, predicted)
    hits, all_predicted = (
        sums_over_cases(shares * (truth == 1)),
        sums_over_cases(shares),
    )
    true, known = (k.astype(np.float64) for k in (truth == 1, truth != MISSING))
    return lambda counts: Counts(
        hits(counts), counts @ true, all_predicted(counts), counts @ known
    )


def _item(item: str, sums: Counts, is_broken: np.ndarray) -> np.ndarray:
    if item == 'accuracy':
        right = sums.right.sum(axis=1)
        accuracy = quotient(right, sums.cases.sum(axis=1), np.nan)
        return np.where(is_broken.any(axis=1), np.nan, accuracy)
    rates = _rates(item.removeprefix('macro_'), sums, is_broken)
    return mean_over(rates, sums.cases > 0)


def _rates(rate: str, sums: Counts, is_broken: np.ndarray) -> np.ndarray:
    """A rate of each label, (resamples, labels); NaN where a score is not finite."""
    return np.where(is_broken, np.nan, RATES[rate](sums))
