"""How sure it is on validation that one model is better than another."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions
from ff_mm.evaluation.resampling import agreement
from ff_mm.evaluation.validation_ensembles import ValidationEnsembles
from ff_mm.merging import Candidate


class ValidationMargins:
    """The :class:`ff_mm.merging.validation.Margins` of a scorer.

    It goes by predictions, which are kept as those of ensembles are: a pass for each
    model that is asked for, counted there.

    Args:
        candidates: Where models are evaluated; says the metric that selects.
        ensembles: What models say of each case.
    """

    def __init__(
        self, candidates: CandidateEvaluator, ensembles: ValidationEnsembles
    ) -> None:
        self._selection = candidates.selection
        self._evaluator = candidates.evaluator
        self._ensembles = ensembles

    def agreement(self, new: Candidate, old: Candidate) -> float:
        """Returns in which part of paired resamples the new one is better.

        Resamples are of validation, by group, 1000 that are the same for all models.

        Raises:
            ConfigError: The metric that selects cannot be resampled.
        """
        before, after = self._ensembles.said_by([old, new])
        old_values, new_values = self._values(before), self._values(after)
        sign = 1.0 if self._selection.rule == 'greater' else -1.0
        return agreement(
            before, lambda counts: sign * (new_values(counts) - old_values(counts))
        )

    def _values(self, said: Predictions) -> Callable[[np.ndarray], np.ndarray]:
        metric = self._selection.metric
        resampled = self._metrics.resampled(said)
        if metric not in resampled.names:
            raise ConfigError(
                f'soup.accept: selection.metric={metric!r} cannot be resampled; choose '
                f'one of {resampled.names}, or leave the margin out'
            )
        return lambda counts: resampled.values(counts, metric)[metric]

    @cached_property
    def _metrics(self) -> PredictionMetrics:
        return PredictionMetrics(
            self._evaluator.metrics('val'), self._evaluator.dataset_meta
        )
