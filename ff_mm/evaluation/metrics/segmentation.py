"""Scores of masks, by three areas a class and case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.registry import METRICS

from ff_mm.datasets.masks.mask_file import IGNORED
from ff_mm.evaluation.metrics.areas import (
    areas,
    cost_of_pixels,
    mask_of,
    require_classes,
    true_areas,
)
from ff_mm.evaluation.metrics.base import (
    Claim,
    CountedMetric,
    SampleError,
    Scores,
    choose,
)
from ff_mm.evaluation.metrics.counts import RATES, Counts, mean_over, quotient
from ff_mm.evaluation.metrics.labels import class_names

#: Name of a rate of a class -> its value by areas: intersection over union, twice the
#: intersection over both (Dice, which is F1), recall and precision.
MASK_RATES = {
    'iou': lambda n: quotient(n.hits, n.true + n.predicted - n.hits),
    'dice': RATES['f1'],
    'recall': RATES['recall'],
    'precision': RATES['precision'],
}

#: By sums over the set, and as mean over cases.
ITEMS = ('miou', 'mdice', 'case_miou', 'case_mdice')

_CASE = 'case_'


@METRICS.register_module()
class SegmentationMetric(CountedMetric):
    """IoU and Dice of predicted masks, as fractions.

    Of each case it keeps the areas of each class that are true, predicted, and both,
    and no pixel. Data samples are those of mmsegmentation.

    - ``miou``, ``mdice``: the areas are summed over all cases, then IoU, intersection
      over union, or Dice, twice the intersection over the sum of both areas, is taken
      of each class, then the mean over classes. This is mmsegmentation's ``IoUMetric``,
      which gives percent. Large objects count more than small ones.
    - ``case_miou``, ``case_mdice``: of each case the mean over its classes, then the
      mean over cases, so that each image counts alike.

    A class counts where it is true or predicted, in the set or in the case; one that is
    predicted and never true has 0, one that is neither does not count. A case of which
    no pixel is known does not count.

    Args:
        items: Which of these scores to give.
        per_class: Which rates to give of each class, from ``'iou'``, ``'dice'``,
            ``'recall'`` and ``'precision'``, as ``'iou/nucleus'``; with ``'case_'``
            before it the mean over the cases in which the class counts, as
            ``'case_dice/nucleus'``.
        leave_out: Classes that are no part of any mean, by name, such as
            ``'background'``.
        ignored: The number of pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    Raises:
        ValueError: If ``items`` is empty, or it or ``per_class`` names an unknown
            score.
    """

    def __init__(
        self,
        items: Sequence[str] = ITEMS,
        per_class: Sequence[str] = ('iou', 'dice'),
        leave_out: Sequence[str] = (),
        ignored: int = IGNORED,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        rates = [*MASK_RATES, *(f'{_CASE}{rate}' for rate in MASK_RATES)]
        self.items = choose('items', items, ITEMS)
        self.per_class = choose('per_class', per_class, rates, empty=True)
        self.leave_out = (leave_out,) if isinstance(leave_out, str) else (*leave_out,)
        self.ignored = ignored

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:
        """Keeps the areas of every case of a batch.

        Args:
            data_batch: Not used.
            data_samples: Those of mmsegmentation as dicts: ``gt_sem_seg`` and
                ``pred_sem_seg``, each with ``data`` of shape (1, H, W).

        Raises:
            SampleError: Masks that do not fit the prediction or the classes.
        """
        classes = require_classes(self.dataset_meta, type(self).__name__)
        for sample in data_samples:
            truth = mask_of(sample, 'gt_sem_seg')
            predicted = mask_of(sample, 'pred_sem_seg')
            try:
                self.results.append(areas(truth, predicted, classes, self.ignored))
            except SampleError as error:
                raise SampleError(f'{sample.get("img_path")}: {error}') from None

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the scores, by areas.

        Args:
            truth: Of each case and class the true area, of shape (cases, classes).
            predicted: The intersection and the predicted area, of shape (cases, 2,
                classes).
        """
        per_case = _counts(truth, predicted)
        occurs = per_case.true + per_case.predicted > 0
        names = class_names(self.dataset_meta, truth.shape[1])
        counting = ~np.isin(names, self._left_out(names))
        means = {item: _of_cases(item, per_case, occurs, counting) for item in ITEMS}
        by_case = {name: MASK_RATES[_rate(name)](per_case) for name in self.per_class}
        table = np.concatenate([truth[:, None], predicted], axis=1)
        table = table.reshape(len(truth), -1).astype(np.float64)

        def values(counts: np.ndarray) -> dict[str, np.ndarray]:
            sums = (counts @ table).reshape(len(counts), 3, -1)
            of_set = _counts(sums[:, 0], sums[:, 1:])
            there = of_set.true + of_set.predicted > 0
            found = {}
            for item in self.items:
                if item.startswith(_CASE):
                    found[item] = _mean_of_cases(counts, means[item][:, None])[:, 0]
                else:
                    rates = MASK_RATES[_rate(item)](of_set)
                    found[item] = mean_over(rates, there & counting)
            for name in self.per_class:
                if name.startswith(_CASE):
                    rates = np.where(occurs, by_case[name], np.nan)
                    rates = _mean_of_cases(counts, rates)
                else:
                    rates = np.where(there, MASK_RATES[_rate(name)](of_set), np.nan)
                for column, of_class in zip(names, rates.T, strict=True):
                    found[f'{name}/{column}'] = of_class
            return found

        return values

    def claim(self, name: str) -> Claim | None:
        """Says that right masks are best.

        A pixel of class a that is predicted as b takes one from the intersection of a
        and adds one to the area predicted as b. So the union of a stays and that of b
        grows: the IoU of a falls, that of b falls or stays, and all others stay. Dice
        is 2 IoU / (1 + IoU), which rises with it. A class that is nowhere true only
        comes into a mean by a mistake, and with 0. Areas are whole numbers, and sums of
        quotients that are no greater round to no greater ones: so no margin. The mean
        over cases is 1 for each that is right, but is summed in another order. Recall
        and precision fall or stay as well. Of a class by itself a case in which it is
        true counts in any case, and one in which it is not comes in only by a mistake,
        with 0.
        """
        goal, slash, _ = name.partition('/')
        if goal not in (self.per_class if slash else self.items):
            return None
        return Claim('greater') if goal.startswith(_CASE) else Claim('greater', 0)

    def truth_of(self, samples: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
        """Returns the true areas of cases, of shape (cases, classes)."""
        return _areas_of_all(samples, self.dataset_meta, self.ignored)

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns the areas of right masks; None where the truth is none of masks."""
        return None if truth.ndim != 2 else np.stack([truth, truth], axis=1)

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns how far each case is from right: pixels, or 1 - its mean rate."""
        if not name.startswith(_CASE):
            return (truth - predicted[:, 0]).sum(axis=1).astype(np.float64)
        counts = _counts(truth, predicted)
        occurs = counts.true + counts.predicted > 0
        item = name.partition('/')[0]
        mean = _of_cases(item, counts, occurs, np.ones(truth.shape[1], bool))
        return np.where(np.isnan(mean), 0, 1 - mean)

    def _left_out(self, names: Sequence[str]) -> list[str]:
        unknown = [name for name in self.leave_out if name not in names]
        if unknown:
            raise SampleError(
                f'SegmentationMetric: leave_out={unknown}: the classes are {[*names]}'
            )
        return [*self.leave_out]


@METRICS.register_module()
class MaskLoss(CountedMetric):
    """Mean cross entropy of all known pixels, under the name ``loss``, in nats.

    It is the mean over all pixels of the set, of -log p of the true class, whatever the
    loss of training is made of. An image counts by its number of known pixels. A model
    that has diverged has NaN.

    Args:
        ignored: The number of pixels that do not count.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before the name as ``'prefix/loss'``. None by default.
    """

    def __init__(
        self,
        ignored: int = IGNORED,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignored = ignored

    def process(self, data_batch: Any, data_samples: Sequence[Mapping]) -> None:
        """Keeps the areas and the cost of every case of a batch.

        Args:
            data_batch: Not used.
            data_samples: Those of mmsegmentation as dicts: ``gt_sem_seg`` and
                ``seg_logits``.

        Raises:
            SampleError: Masks that do not fit the logits or the classes.
        """
        classes = require_classes(self.dataset_meta, type(self).__name__)
        for sample in data_samples:
            truth = true_areas(mask_of(sample, 'gt_sem_seg'), classes, self.ignored)
            cost = cost_of_pixels(sample, classes, self.ignored)
            self.results.append((truth, cost))

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the loss, by how many pixels there are and what they cost.

        Args:
            truth: Of each case and class the true area, of shape (cases, classes).
            predicted: The cost of each case, float64 of shape (cases,).
        """
        pixels = truth.sum(axis=1).astype(np.float64)

        def values(counts: np.ndarray) -> dict[str, np.ndarray]:
            # A case that is not drawn must not make a NaN of the others.
            costs = np.where(counts > 0, predicted * counts, 0).sum(axis=1)
            return {'loss': quotient(costs, (counts * pixels).sum(axis=1), np.nan)}

        return values

    def claim(self, name: str) -> Claim | None:
        """Says that right pixels are best: they cost nothing, and none costs less."""
        return Claim('less') if name == 'loss' else None

    def truth_of(self, samples: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
        """Returns the true areas of cases, of shape (cases, classes)."""
        return _areas_of_all(samples, self.dataset_meta, self.ignored)

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns the cost of right masks, which is nothing."""
        return None if truth.ndim != 2 else np.zeros(len(truth))

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns what each case costs; the most of all where it is not finite."""
        finite = predicted[np.isfinite(predicted)]
        most = finite.max() if len(finite) else 1.0
        return np.where(np.isfinite(predicted), predicted, most)


def _areas_of_all(
    samples: Sequence[Mapping[str, Any]], meta: Mapping[str, Any] | None, ignored: int
) -> np.ndarray | None:
    if not samples or any('gt_sem_seg' not in sample for sample in samples):
        return None
    classes = require_classes(meta, 'early exit')
    masks = (mask_of(sample, 'gt_sem_seg') for sample in samples)
    return np.stack([true_areas(mask, classes, ignored) for mask in masks])


def _rate(name: str) -> str:
    """The rate of a score, such as iou of miou, case_miou and case_iou."""
    rate = name.removeprefix(_CASE)
    return rate if rate in MASK_RATES else rate.removeprefix('m')


def _counts(truth: np.ndarray, predicted: np.ndarray) -> Counts:
    return Counts(
        hits=predicted[:, 0],
        true=truth,
        predicted=predicted[:, 1],
        cases=truth.sum(axis=1, keepdims=True),
    )


def _of_cases(
    item: str, counts: Counts, occurs: np.ndarray, counting: np.ndarray
) -> np.ndarray:
    """The mean rate of each case; NaN of one in which no class occurs."""
    rates = MASK_RATES[_rate(item)](counts)
    among = occurs & counting
    return quotient((rates * among).sum(axis=1), among.sum(axis=1), np.nan)


def _mean_of_cases(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means over cases of shape (resamples, columns), of what is not NaN."""
    known = ~np.isnan(values)
    return quotient(
        counts @ np.where(known, values, 0), counts @ known.astype(float), np.nan
    )
