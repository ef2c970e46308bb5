"""Scores of single-label classification, with scikit-learn's arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from ff_mm.evaluation.binary_scores import BINARY_SCORES
from ff_mm.evaluation.bounds import (
    CLASS_SCORES,
    KAPPA_WEIGHTS,
    Bound,
    ClassBound,
    KappaBound,
)
from ff_mm.evaluation.items import choose
from ff_mm.evaluation.metrics.base import SampleError, class_numbers
from ff_mm.evaluation.metrics.labels import class_names


def balanced_accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall of the classes that occur among the true ones.

    The value of scikit-learn's ``balanced_accuracy_score``, which would warn of classes
    that are predicted but never true.
    """
    return recall_score(true, predicted, labels=np.unique(true), average='macro')


def macro_specificity(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean specificity of the classes that occur, each against the rest."""
    specificity = BINARY_SCORES['specificity']
    classes = np.union1d(true, predicted)
    return np.mean([specificity(true == c, predicted == c) for c in classes])


def kappa(true: np.ndarray, predicted: np.ndarray, weights: str | None) -> float:
    """Cohen's kappa; NaN where all of both are one and the same class (0 / 0).

    Args:
        true: True class numbers.
        predicted: Predicted class numbers.
        weights: Of a disagreement: None (1), ``'linear'`` (the distance of the class
            numbers) or ``'quadratic'`` (its square).
    """
    classes = np.union1d(true, predicted)
    if len(classes) == 1:
        return float('nan')
    # All numbers, for scikit-learn would close up the gap of a grade that is absent.
    labels = range(classes.max() + 1)
    return cohen_kappa_score(true, predicted, labels=labels, weights=weights)


#: Name of a score -> function of the true and the predicted class numbers.
SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    'accuracy': accuracy_score,
    'balanced_accuracy': balanced_accuracy,
    'macro_recall': partial(recall_score, average='macro', zero_division=0),
    'macro_precision': partial(precision_score, average='macro', zero_division=0),
    'macro_f1': partial(f1_score, average='macro', zero_division=0),
    'macro_specificity': macro_specificity,
    'kappa': partial(kappa, weights=None),
    'linear_kappa': partial(kappa, weights='linear'),
    'quadratic_kappa': partial(kappa, weights='quadratic'),
}


@METRICS.register_module()
class MulticlassMetric(BaseMetric):
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

    # MMEngine warns about None; an empty prefix is silent and adds nothing.
    default_prefix = ''

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
        self.per_class = choose('per_class', per_class, BINARY_SCORES, empty=True)
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

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, Any]:
        """Computes what was chosen over all cases of all ranks.

        Args:
            results: The true and the predicted class number of every case.

        Returns:
            Name of each chosen score -> its value, a float; and, if wanted, the scores
            by class and the confusion matrix.
        """
        true, predicted = np.array(results).T
        metrics = {item: float(SCORES[item](true, predicted)) for item in self.items}
        metrics.update(self._by_class(true, predicted))
        if self.confusion_matrix:
            labels = range(self._number_of_classes(true, predicted))
            matrix = confusion_matrix(true, predicted, labels=labels)
            metrics['confusion_matrix'] = matrix.tolist()
        return metrics

    def value(self, name: str, results: list[tuple[int, int]]) -> float:
        """Computes one of ``items`` alone."""
        true, predicted = np.array(results).T
        return float(SCORES[name](true, predicted))

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> Bound | None:
        """Returns a bound on one of ``items``, except the macro specificity."""
        truth = class_numbers(samples)
        if truth is None or name not in self.items or rule != 'greater':
            return None
        if name in CLASS_SCORES:
            return ClassBound(truth, name)
        return KappaBound(truth, name) if name in KAPPA_WEIGHTS else None

    def _by_class(self, true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        number = self._number_of_classes(true, predicted)
        names = class_names(self.dataset_meta, number)
        occurring = set(np.union1d(true, predicted))
        return {
            f'{score}/{name}': float(BINARY_SCORES[score](true == c, predicted == c))
            if c in occurring
            else float('nan')
            for score in self.per_class
            for c, name in enumerate(names)
        }

    def _number_of_classes(self, true: np.ndarray, predicted: np.ndarray) -> int:
        named = (self.dataset_meta or {}).get('classes') or ()
        return max(len(named), int(true.max()) + 1, int(predicted.max()) + 1)
