"""Scores of single-label classification, by the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS

from ff_mm.evaluation.metrics.base import (
    RATES,
    Cases,
    Claim,
    CountedMetric,
    Counts,
    SampleError,
    Scores,
    choose,
    mean_over,
    quotient,
)
from ff_mm.evaluation.metrics.labels import class_names

# Elements of confusion matrices that are held at a time.
_MOST = 1 << 22


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Returns the fraction of cases whose class is predicted."""
    hits = np.trace(confusion, axis1=1, axis2=2)
    return hits / confusion.sum(axis=(1, 2))


def macro(confusion: np.ndarray, rate: str) -> np.ndarray:
    """Returns the mean of a rate over the classes that are true or predicted."""
    counts = _against_rest(confusion)
    return mean_over(RATES[rate](counts), counts.true + counts.predicted > 0)


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Returns the mean recall of the classes that are true of a case."""
    counts = _against_rest(confusion)
    return mean_over(RATES['recall'](counts), counts.true > 0)


def kappa(
    confusion: np.ndarray, weight: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Returns Cohen's kappa; NaN where all of both are one and the same class (0 / 0).

    Args:
        confusion: See :data:`SCORES`.
        weight: The weight of a disagreement, by the distance of the class numbers.
    """
    classes = np.arange(confusion.shape[1], dtype=np.float64)
    weights = weight(np.abs(classes[:, None] - classes))
    counts = _against_rest(confusion)
    margins = counts.predicted[:, :, None] * counts.true[:, None, :]
    by_chance = margins / counts.cases[:, :, None]
    observed, expected = (
        (weights * matrix).reshape(len(confusion), -1).sum(axis=1)
        for matrix in (confusion, by_chance)
    )
    return 1 - quotient(observed, expected, np.nan)


#: The weight of a disagreement of a kappa, by the distance of the class numbers.
KAPPA_WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'kappa': np.sign,
    'linear_kappa': np.abs,
    'quadratic_kappa': np.square,
}

#: Name of a score -> function of confusion matrices, float64 of shape (resamples,
#: classes, classes), -> its values, of shape (resamples,). In row i and column j is how
#: many cases of class i are predicted as j.
SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'accuracy': accuracy,
    'balanced_accuracy': balanced_accuracy,
    **{f'macro_{rate}': partial(macro, rate=rate) for rate in RATES},
    **{name: partial(kappa, weight=weight) for name, weight in KAPPA_WEIGHTS.items()},
}

_EXACT = Claim('greater', margin=0)

#: Name of a score -> the claim that right predictions of the cases to come are best for
#: it. With the truth fixed, no recall, precision or F1 rises with a further mistake
#: (see :meth:`ff_mm.evaluation.MultilabelMetric.claim`), which besides may only add a
#: class to the mean, one that is never true and has the rate 0. (That lowers the mean
#: by far more than a sum in another order could be rounded up.) Of the kappas
#: :meth:`MulticlassMetric.best` sees to it. The macro specificity is not among them:
#: the class that is added has a high one.
CLAIMS = {
    'accuracy': _EXACT,
    'balanced_accuracy': _EXACT,
    'macro_recall': _EXACT,
    'macro_precision': _EXACT,
    'macro_f1': _EXACT,
    **dict.fromkeys(KAPPA_WEIGHTS, Claim('greater')),
}

# The least bound on a kappa, whatever was seen.
_LEAST_KAPPA = 0.1


@METRICS.register_module()
class MulticlassMetric(CountedMetric):
    """Scores of the predicted classes of single-label classification.

    The scores are fractions, as scikit-learn and the FissionFusion paper give them;
    MMPretrain's own metrics print percent. They are plain Python floats under exactly
    the names in ``items``, without a prefix:

    - ``accuracy``: the fraction of cases whose class is predicted.
    - ``macro_recall``, ``macro_precision``, ``macro_f1``, ``macro_specificity``: the
      mean over classes of recall TP / (TP + FN), precision TP / (TP + FP), F1
      2 TP / (2 TP + FP + FN) and specificity TN / (TN + FP), each class against the
      rest. The mean runs over the classes that occur in the labels or among the
      predictions; a quotient 0 / 0 counts as 0. So a class that is predicted but never
      true has recall and F1 0, one that is true but never predicted has precision 0. A
      class absent from both does not count, unlike in MMPretrain's
      ``SingleLabelMetric``, which averages over all classes of the model.
    - ``balanced_accuracy``: mean recall of the classes that occur in the labels, as
      scikit-learn's ``balanced_accuracy_score``. It differs from ``macro_recall`` where
      a class is predicted but never true.
    - ``kappa``, ``linear_kappa``, ``quadratic_kappa``: Cohen's kappa, 1 - the sum of
      w_ij O_ij / the sum of w_ij E_ij, from -1 to 1. O is the confusion matrix, E the
      one expected of independent labels and predictions with the same margins, and w_ij
      is 1 for i != j, abs(i - j), or (i - j) squared. The distance is that of the class
      numbers, so classes must be in the order of the grades, and a grade that does not
      occur still lies between its neighbours. NaN if one class alone occurs.

    Args:
        items: Which of these scores to give.
        per_class: Which scores to give of each class against the rest, from
            ``'recall'``, ``'precision'``, ``'f1'`` and ``'specificity'``, as
            ``'recall/mel'``. The name of the class is that of the data set, or its
            number. Classes absent from labels and predictions have NaN, so the mean of
            the others is the macro score.
        confusion_matrix: Whether to give ``confusion_matrix``, a list of lists of
            ints: in row i and column j the number of cases of class i that are
            predicted as j. It has all classes of the data set; without their names,
            those up to the largest number that occurs.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    Raises:
        ValueError: If ``items`` is empty, or it or ``per_class`` names an unknown
            score.

    References:
        Cohen, "A coefficient of agreement for nominal scales", 1960; with weights:
        Cohen, "Weighted kappa", 1968.

    Examples:
        >>> val_evaluator = dict(
        ...     type='MulticlassMetric',
        ...     items=['accuracy', 'macro_f1', 'quadratic_kappa'],
        ...     per_class=['recall', 'specificity'])
    """

    def __init__(
        self,
        items: Sequence[str] = ('accuracy', 'macro_recall', 'macro_f1'),
        per_class: Sequence[str] = (),
        confusion_matrix: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.items = choose('items', items, SCORES)
        self.per_class = choose('per_class', per_class, RATES, empty=True)
        self.confusion_matrix = confusion_matrix

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the true and the predicted class of every case of a batch.

        Args:
            data_batch: Not used.
            data_samples: MMPretrain's data samples as dicts: ``gt_label`` of shape
                (1,), and ``pred_label`` of shape (1,) or else ``pred_score`` of shape
                (number of classes,), whose largest entry is then the prediction.

        Raises:
            SampleError: If a data sample has no class.
        """
        for sample in data_samples:
            if 'gt_label' not in sample:
                raise SampleError(
                    'MulticlassMetric: a data sample has no gt_label; multi-label data '
                    "need dict(type='MultilabelMetric') or dict(type='AUROC')"
                )
            predicted = sample.get('pred_label')
            if predicted is None:
                predicted = sample['pred_score'].argmax()
            self.results.append((int(sample['gt_label']), int(predicted)))

    def kept(self, truth: np.ndarray, scores: np.ndarray) -> Cases | None:
        """Returns true classes and those of the largest scores."""
        return (truth, scores.argmax(axis=1)) if truth.ndim == 1 else None

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the scores, by the confusion matrix.

        Args:
            truth: Class numbers of shape (cases,).
            predicted: Likewise.
        """
        number = self._number_of_classes(truth, predicted)
        confusion = _confusion(truth, predicted, number)
        step = max(1, _MOST // number**2)

        def values(counts: np.ndarray) -> dict[str, np.ndarray]:
            parts = [
                self._values(confusion(counts[start : start + step]))
                for start in range(0, len(counts), step)
            ]
            return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

        return values

    def claim(self, name: str) -> Claim | None:
        """Says that right predictions are best for some of ``items``."""
        return CLAIMS.get(name) if name in self.items else None

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns the true classes, of single-label data."""
        return truth if truth.ndim == 1 else None

    def best(self, name: str, seen: Cases, rest: Cases) -> float:
        """Returns what no predictions of the rest can beat, but for rounding.

        A kappa is 1 - D / E. D is the sum over all cases of the weight w(t, p) of their
        true and predicted class, E that of e(p), the mean of w(i, p) over all true
        classes i. A mistake raises D, but may raise E more.

        - Unweighted and linear: w(i, p) - w(i, t) <= w(t, p), the triangle inequality,
          so a mistake raises E by no more than D. If D / E <= 1, that cannot lower D /
          E; if D / E > 1, it remains more than 1. So the best is the kappa with the
          rest right, or else none above 0.
        - Quadratic: D / E < q holds just if D - q E < 0, a sum in which each case has a
          term of its own, (t - p)^2 - q e(p): a parabola, so that for a given q < 1 the
          best p is known, any whole number from 0. q is the D / E of the last solution
          until that falls no more (Dinkelbach, "On nonlinear fractional programming",
          1967). A least value for the kappa saves the case of q near 1.
        """
        best = super().best(name, seen, rest)
        if name not in KAPPA_WEIGHTS:
            return best
        best = max(best, _LEAST_KAPPA)
        truth, _ = rest
        mean = np.concatenate([seen[0], truth]).mean()
        while name == 'quadratic_kappa':
            bottom = np.rint((truth - (1 - best) * mean) / best).astype(np.int64)
            better = super().best(name, seen, (truth, np.maximum(bottom, 0)))
            if not better > best:
                break
            best = better
        return best

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns 1 where the class is wrong, or the weight that a kappa gives it."""
        distance = np.abs(truth - predicted).astype(np.float64)
        return KAPPA_WEIGHTS.get(name, np.sign)(distance)

    def _values(self, confusion: np.ndarray) -> dict[str, np.ndarray]:
        values = {item: SCORES[item](confusion) for item in self.items}
        counts = _against_rest(confusion)
        occurs = counts.true + counts.predicted > 0
        names = class_names(self.dataset_meta, confusion.shape[1])
        for rate in self.per_class:
            rates = np.where(occurs, RATES[rate](counts), np.nan)
            values.update(
                (f'{rate}/{name}', of_class)
                for name, of_class in zip(names, rates.T, strict=True)
            )
        if self.confusion_matrix:
            values['confusion_matrix'] = confusion.astype(np.int64)
        return values

    def _number_of_classes(self, true: np.ndarray, predicted: np.ndarray) -> int:
        named = (self.dataset_meta or {}).get('classes') or ()
        return max(len(named), int(true.max()) + 1, int(predicted.max()) + 1)


def _confusion(
    truth: np.ndarray, predicted: np.ndarray, number: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Function of how often each case counts -> confusion matrices, see SCORES."""
    pairs = truth * number + predicted
    order = np.argsort(pairs, kind='stable')
    occurring, starts = np.unique(pairs[order], return_index=True)

    def confusion(counts: np.ndarray) -> np.ndarray:
        found = np.zeros((len(counts), number**2))
        in_order = np.take(counts, order, axis=1)
        found[:, occurring] = np.add.reduceat(in_order, starts, axis=1)
        return found.reshape(-1, number, number)

    return confusion


def _against_rest(confusion: np.ndarray) -> Counts:
    """The counts of each class, of shape (resamples, classes)."""
    return Counts(
        hits=np.diagonal(confusion, axis1=1, axis2=2),
        true=confusion.sum(axis=2),
        predicted=confusion.sum(axis=1),
        cases=confusion.sum(axis=(1, 2))[:, None],
    )
