"""Metrics that MMPretrain lacks, as fractions and under plain names."""

from __future__ import annotations

from ff_mm.evaluation.multiclass import MulticlassMetric
from ff_mm.evaluation.validation_loss import ValidationLoss

__all__ = ['MulticlassMetric', 'ValidationLoss']
