"""Models compared by their predictions alone: values, intervals, differences."""

from __future__ import annotations

from ff_mm.comparison.assessment import assess
from ff_mm.comparison.comparison_runner import ComparisonRunner
from ff_mm.comparison.delong import CorrelatedAreas, delong, delong_table
from ff_mm.comparison.fuse import FuseRunner
from ff_mm.evaluation.ensemble import logit_ensemble
from ff_mm.evaluation.predictions import (
    Predictions,
    PredictionsError,
    require_same_cases,
)
from ff_mm.evaluation.resampling import Resampling

__all__ = [
    'ComparisonRunner',
    'CorrelatedAreas',
    'FuseRunner',
    'Predictions',
    'PredictionsError',
    'Resampling',
    'assess',
    'delong',
    'delong_table',
    'logit_ensemble',
    'require_same_cases',
]
