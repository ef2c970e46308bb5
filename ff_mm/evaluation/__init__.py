"""Metrics that MMPretrain lacks, as fractions and under plain names."""

from __future__ import annotations

from ff_mm.evaluation.metrics.calibration import CalibrationMetric
from ff_mm.evaluation.metrics.multiclass import MulticlassMetric
from ff_mm.evaluation.metrics.multilabel import MultilabelMetric
from ff_mm.evaluation.metrics.ranking import AUROC, MeanAveragePrecision
from ff_mm.evaluation.metrics.segmentation import MaskLoss, SegmentationMetric
from ff_mm.evaluation.metrics.validation_loss import ValidationLoss

__all__ = [
    'AUROC',
    'CalibrationMetric',
    'MaskLoss',
    'MeanAveragePrecision',
    'MulticlassMetric',
    'MultilabelMetric',
    'SegmentationMetric',
    'ValidationLoss',
]
