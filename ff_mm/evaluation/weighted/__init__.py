"""Metrics of resampled cases: of many resamples at once, where that is possible.

A resample, such as one of the bootstrap, is given by how often it has each case. A
metric that is a function of sums over cases then needs no lists of cases at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from ff_mm.evaluation.auroc import AUROC
from ff_mm.evaluation.average_precision import MeanAveragePrecision
from ff_mm.evaluation.metrics.calibration import CalibrationMetric
from ff_mm.evaluation.metrics.multiclass import MulticlassMetric
from ff_mm.evaluation.metrics.multilabel import MultilabelMetric
from ff_mm.evaluation.metrics.validation_loss import ValidationLoss
from ff_mm.evaluation.weighted.classes import WeightedClassScores
from ff_mm.evaluation.weighted.costs import WeightedCalibration, WeightedLoss
from ff_mm.evaluation.weighted.labels import WeightedLabelScores
from ff_mm.evaluation.weighted.ranks import WeightedAUROC, WeightedAveragePrecision
from ff_mm.evaluation.weighted.repeated_cases import RepeatedCases
from ff_mm.evaluation.weighted.weighted_metric import WeightedMetric, overall_floats

__all__ = ['WeightedMetric', 'overall_floats', 'weighted']

_WEIGHTED: dict[type[BaseMetric], type[WeightedMetric]] = {
    AUROC: WeightedAUROC,
    CalibrationMetric: WeightedCalibration,
    MeanAveragePrecision: WeightedAveragePrecision,
    MulticlassMetric: WeightedClassScores,
    MultilabelMetric: WeightedLabelScores,
    ValidationLoss: WeightedLoss,
}


def weighted(metric: BaseMetric, results: Sequence[Any]) -> WeightedMetric:
    """Returns what computes a metric of resamples, for any metric.

    Args:
        metric: The metric. A subclass of one of ff_mm's may compute something else, so
            it is treated like any other.
        results: What the metric keeps of each case.
    """
    return _WEIGHTED.get(type(metric), RepeatedCases)(metric, results)
