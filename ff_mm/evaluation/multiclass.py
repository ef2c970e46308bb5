"""Scores of single-label classification, with scikit-learn's arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS
from sklearn.metrics import accuracy_score, f1_score, recall_score

#: Name of a score -> function of the true and the predicted class numbers.
SCORES: dict[str, Callable[[Sequence[int], Sequence[int]], float]] = {
    'accuracy': accuracy_score,
    'macro_recall': partial(recall_score, average='macro', zero_division=0),
    'macro_f1': partial(f1_score, average='macro', zero_division=0),
}


@METRICS.register_module()
class MulticlassMetric(BaseMetric):
    """Accuracy, macro recall and macro F1 of single-label classification.

    The scores are fractions from 0 to 1, as scikit-learn and the FissionFusion paper
    give them; MMPretrain's own metrics print percent. They are plain Python floats
    under exactly the names in ``items``, without a prefix.

    A macro average runs over the classes that occur in the labels or among the
    predictions. A class that is predicted but never true counts as 0; a class absent
    from both does not count, unlike in MMPretrain's ``SingleLabelMetric``, which
    averages over all classes of the model.

    Args:
        items: Which scores to give, from ``'accuracy'``, ``'macro_recall'`` and
            ``'macro_f1'``.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.

    Raises:
        ValueError: If ``items`` is empty or names an unknown score.
    """

    # MMEngine warns about None; an empty prefix is silent and adds nothing.
    default_prefix = ''

    def __init__(
        self,
        items: Sequence[str] = ('accuracy', 'macro_recall', 'macro_f1'),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = [item for item in items if item not in SCORES]
        if unknown or not items:
            raise ValueError(f'items must be some of {list(SCORES)}, got {items!r}')
        self.items = tuple(items)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the true and the predicted class of every case of a batch.

        Args:
            data_batch: Not used.
            data_samples: MMPretrain's data samples as dicts: ``gt_label`` of shape
                (1,), and ``pred_label`` of shape (1,) or else ``pred_score`` of shape
                (number of classes,), whose largest entry is then the prediction.
        """
        for sample in data_samples:
            predicted = sample.get('pred_label')
            if predicted is None:
                predicted = sample['pred_score'].argmax()
            self.results.append((int(sample['gt_label']), int(predicted)))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, float]:
        """Computes the chosen scores over all cases of all ranks.

        Args:
            results: The true and the predicted class number of every case.

        Returns:
            Name of each chosen score -> its value, a fraction from 0 to 1.
        """
        true, predicted = zip(*results, strict=True)
        return {item: float(SCORES[item](true, predicted)) for item in self.items}
