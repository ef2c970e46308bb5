"""Scores of single-label classification, by the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmpretrain.registry import METRICS

from ff_mm.evaluation.metrics.base import (
    Cases,
    Claim,
    CountedMetric,
    SampleError,
    Scores,
    choose,
)
from ff_mm.evaluation.metrics.counts import RATES, Counts, mean_over, quotient
from ff_mm.evaluation.metrics.labels import class_names
from ff_mm.evaluation.metrics.soft import (
    SOFT,
    any_soft,
    certain,
    expected_confusion,
    goal,
    kind_of,
    record,
    shares_of_classes,
    with_soft,
)

# Elements of confusion matrices that are held at a time.
_MOST = 1 << 22


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Returns the fraction of cases whose class is predicted."""
    hits = np.trace(confusion, axis1=1, axis2=2)
    return hits / confusion.sum(axis=(1, 2))


def macro(confusion: np.ndarray, rate: str) -> np.ndarray:
    """Returns the mean of a rate over the classes that are true or predicted.

    One of which less than a whole case is predicted, and none is true, counts by that.
    """
    counts = _against_rest(confusion)
    weights = np.minimum(counts.true + counts.predicted, 1)
    return mean_over(RATES[rate](counts), weights)


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
#: many cases of class i are predicted as j; for soft scores, how many are expected.
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
#:
#: All this holds of soft scores, too, as what a mistake changes may be any part of a
#: case, and a class that is added may count by a part. Sums of parts round, though.
CLAIMS = {
    'accuracy': _EXACT,
    'balanced_accuracy': _EXACT,
    'macro_recall': _EXACT,
    'macro_precision': _EXACT,
    'macro_f1': _EXACT,
    **dict.fromkeys(KAPPA_WEIGHTS, Claim('greater')),
}
CLAIMS.update({f'{SOFT}{name}': Claim('greater') for name in CLAIMS})

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
    - ``soft_accuracy``, ``soft_macro_recall``, ``soft_quadratic_kappa`` and so on, for
      each of the above: the same of the confusion matrix that is expected if classes
      are drawn by their probabilities. So ``soft_accuracy`` is the mean probability of
      the true class, ``soft_macro_recall`` the mean over classes of that. They move
      with every probability, where the others move by whole cases: with few images
      that is less chance. Where all probabilities are 0 or 1 they are the others. A
      class that is never true counts in the macro scores by the cases that are
      predicted as it, from all of one on in full; in ``soft_balanced_accuracy`` it does
      not count. NaN if a probability is not finite (a model that has diverged).

    Args:
        items: Which of these scores to give.
        per_class: Which scores to give of each class against the rest, from
            ``'recall'``, ``'precision'``, ``'f1'`` and ``'specificity'``, as
            ``'recall/mel'``, and from ``'soft_recall'`` and so on. The name of the
            class is that of the data set, or its number. Classes absent from labels and
            predictions have NaN, so the mean of the others is the macro score.
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
        self.items = choose('items', items, with_soft(SCORES))
        self.per_class = choose('per_class', per_class, with_soft(RATES), empty=True)
        self.confusion_matrix = confusion_matrix
        self._is_soft = any_soft((*self.items, *self.per_class))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the true and the predicted class of every case of a batch.

        For soft scores it keeps the probabilities as well.

        Args:
            data_batch: Not used.
            data_samples: MMPretrain's data samples as dicts: ``gt_label`` of shape
                (1,), and ``pred_label`` of shape (1,) or else ``pred_score`` of shape
                (number of classes,), whose largest entry is then the prediction.

        Raises:
            SampleError: If a data sample has no class, or no probabilities that soft
                scores could be taken from.
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
            truth, predicted = int(sample['gt_label']), int(predicted)
            self.results.append(
                (truth, record(predicted, sample) if self._is_soft else predicted)
            )

    def kept(self, truth: np.ndarray, scores: np.ndarray) -> Cases | None:
        """Returns true classes and those of the largest scores; None if any is soft."""
        if truth.ndim != 1 or self._is_soft:
            return None
        return truth, scores.argmax(axis=1)

    def scores(self, truth: np.ndarray, predicted: np.ndarray) -> Scores:
        """Defines the scores, by the confusion matrix.

        Args:
            truth: Class numbers of shape (cases,).
            predicted: Likewise; with soft scores, records of these as ``label`` and of
                probabilities as ``scores``.

        Raises:
            SampleError: With soft scores, if a score is not from 0 to 1.
        """
        labels = predicted['label'] if self._is_soft else predicted
        number = self._number_of_classes(truth, predicted)
        matrices = {'': _confusion(truth, labels, number)}
        if self._is_soft:
            shares = shares_of_classes(truth, predicted['scores'])
            matrices[SOFT] = expected_confusion(truth, shares, number)
        step = max(1, _MOST // number**2)

        def values(counts: np.ndarray) -> dict[str, np.ndarray]:
            steps = range(0, len(counts), step)
            parts = [
                self._values(
                    {kind: of(counts[i : i + step]) for kind, of in matrices.items()}
                )
                for i in steps
            ]
            return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

        return values

    def claim(self, name: str) -> Claim | None:
        """Says that right predictions are best for some of ``items``."""
        return CLAIMS.get(name) if name in self.items else None

    def perfect(self, truth: np.ndarray, classes: int) -> np.ndarray | None:
        """Returns the true classes, of single-label data."""
        if truth.ndim == 2:
            return None
        return certain(truth, classes) if self._is_soft else truth

    def outputs(self, predicted: np.ndarray) -> int:
        """Returns the number of probabilities, where they are kept."""
        return super().outputs(predicted['scores'] if self._is_soft else predicted)

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

        Of a soft kappa D and E are means over the classes that may be drawn, so that no
        probabilities beat the best single class. It is one that the model has.
        """
        best = super().best(name, seen, rest)
        if goal(name) not in KAPPA_WEIGHTS or np.isnan(best):
            return best
        best = max(best, _LEAST_KAPPA)
        truth, right = rest
        mean = np.concatenate([seen[0], truth]).mean()
        while goal(name) == 'quadratic_kappa':
            bottom = np.rint((truth - (1 - best) * mean) / best).astype(np.int64)
            bottom = np.maximum(bottom, 0)
            guess = certain(bottom, self.outputs(right)) if self._is_soft else bottom
            better = super().best(name, seen, (truth, guess))
            if not better > best:
                break
            best = better
        return best

    def errors(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Returns 1 where the class is wrong, or the weight that a kappa gives it.

        Of a soft score it is that of each class by its probability.
        """
        weight = KAPPA_WEIGHTS.get(goal(name), np.sign)
        labels = predicted['label'] if self._is_soft else predicted
        if not kind_of(name):
            return weight(np.abs(truth - labels).astype(np.float64))
        scores = predicted['scores']
        weights = weight(
            np.abs(truth[:, None] - np.arange(scores.shape[1], dtype=float))
        )
        expected = (np.clip(scores, 0, 1) * weights).sum(axis=1)
        return np.where(np.isfinite(expected), expected, weights.max(axis=1))

    def _values(self, matrices: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All scores, by confusion matrices; those for soft scores under ``SOFT``."""
        values = {
            item: SCORES[goal(item)](matrices[kind_of(item)]) for item in self.items
        }
        confusion = matrices['']
        names = class_names(self.dataset_meta, confusion.shape[1])
        for item in self.per_class:
            rate = goal(item)
            counts = _against_rest(matrices[kind_of(item)])
            occurs = counts.true + counts.predicted > 0
            rates = np.where(occurs, RATES[rate](counts), np.nan)
            values.update(
                (f'{item}/{name}', of_class)
                for name, of_class in zip(names, rates.T, strict=True)
            )
        if self.confusion_matrix:
            values['confusion_matrix'] = confusion.astype(np.int64)
        return values

    def _number_of_classes(self, true: np.ndarray, predicted: np.ndarray) -> int:
        named = (self.dataset_meta or {}).get('classes') or ()
        labels = predicted['label'] if self._is_soft else predicted
        outputs = self.outputs(predicted) if self._is_soft else 0
        return max(len(named), outputs, int(true.max()) + 1, int(labels.max()) + 1)


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
    true = confusion.sum(axis=2)
    return Counts(
        hits=np.diagonal(confusion, axis1=1, axis2=2),
        true=true,
        predicted=confusion.sum(axis=1),
        # In this order: of a single true class the others are 0, if parts round, too.
        cases=true.sum(axis=1, keepdims=True),
    )
