"""Base of the metrics that rank cases: one value a label, and their mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ff_mm.evaluation.bounds import RankBound
from ff_mm.evaluation.metrics.base import Case, ScoreMetric, truth_of_all
from ff_mm.evaluation.metrics.labels import (
    Label,
    has_both_classes,
    labels_of,
    mean,
    number_of,
)


class MeanOverLabels(ScoreMetric):
    """A value of each label that is both present and absent, and the mean of these.

    What counts as a label, and in which cases, is said by
    :func:`ff_mm.evaluation.metrics.labels.labels_of`. A subclass gives the ``name`` of
    the metric and its value for one label.

    Args:
        per_label: Whether to give the value of every label as well, as
            ``'<name>/<label>'``. None, the default: of multi-label data only.
        collect_device: ``'cpu'`` or ``'gpu'``, where the results of the ranks meet.
        prefix: Put before every name as ``'prefix/name'``. None by default.
    """

    name: str

    def __init__(
        self,
        per_label: bool | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.per_label = per_label

    @abstractmethod
    def score(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """Returns the value of one label.

        Args:
            truth: 1 or 0, of shape (known cases,); both occur.
            scores: Predicted scores of the same shape, all finite.
        """

    def compute_metrics(self, results: list[Case]) -> dict[str, float]:
        """Computes the values of the labels over all cases of all ranks.

        Args:
            results: Truth and scores of every case.

        Returns:
            The mean under ``name``, the number of labels that are not in it under
            ``'<name>_left_out'``, and the values of the labels if they are wanted.
        """
        labels = labels_of(results, self.dataset_meta)
        usable = [label.has_both_classes for label in labels]
        if not any(usable):
            self.warn(
                'no label is present in a case and absent from another, so '
                f'{self.name} is NaN'
            )
        values = [self._value(label) for label in labels]
        metrics = {
            self.name: mean([v for v, use in zip(values, usable, strict=True) if use]),
            f'{self.name}_left_out': usable.count(False),
        }
        if self._is_per_label(results):
            for label, value in zip(labels, values, strict=True):
                metrics[f'{self.name}/{label.name}'] = value
        return metrics

    def value(self, name: str, results: list[Case]) -> float:
        """Computes the mean, or the value of a label, alone."""
        labels = labels_of(results, self.dataset_meta)
        if name == self.name:
            return mean([self._value(x) for x in labels if x.has_both_classes])
        of_label = name.removeprefix(f'{self.name}/')
        return next(self._value(label) for label in labels if label.name == of_label)

    def _rank_bound(
        self,
        cls: type[RankBound],
        name: str,
        rule: str,
        samples: Sequence[Mapping[str, Any]],
    ) -> RankBound | None:
        """A bound on the mean or, of multi-label data, on the value of one label."""
        truth = truth_of_all(samples)
        if truth is None or rule != 'greater':
            return None
        if name == self.name:
            return cls(truth) if has_both_classes(truth).any() else None
        start, _, of_label = name.partition('/')
        if truth.ndim != 2 or self.per_label is False or start != self.name:
            return None
        label = number_of(of_label, self.dataset_meta, truth.shape[1])
        if label is None or not has_both_classes(truth)[label]:
            return None
        return cls(truth, label)

    def _value(self, label: Label) -> float:
        if not (label.has_both_classes and label.is_finite):
            return float('nan')
        return float(self.score(label.truth, label.scores))

    def _is_per_label(self, results: list[Case]) -> bool:
        if self.per_label is not None:
            return self.per_label
        truth, _ = results[0]
        return isinstance(truth, np.ndarray)
