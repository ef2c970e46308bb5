"""Any metric of resamples, computed one resample after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from ff_mm.errors import FFMMError
from ff_mm.evaluation.metrics.offline import silence
from ff_mm.evaluation.weighted.weighted_metric import overall_floats


class RepeatedCases:
    """Shows a metric what it keeps of each case, as often as the case counts.

    Args:
        metric: Any metric of MMEngine's kind.
        results: What it keeps of each case.
    """

    def __init__(self, metric: BaseMetric, results: Sequence[Any]) -> None:
        self._metric = metric
        self._results = results

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores, see :class:`~.weighted_metric.WeightedMetric`.

        Raises:
            FFMMError: If the metric does not keep one thing a case, so that no case
                can be repeated.
        """
        if counts.shape[1] != len(self._results):
            raise FFMMError(
                f'{type(self._metric).__name__} keeps {len(self._results)} results of '
                f'{counts.shape[1]} cases, so no case can be drawn twice: expected one '
                'of each; take the metric out of the evaluator'
            )
        with silence():
            rows = [self._row(times) for times in counts.astype(np.int64)]
        names = {name for row in rows for name in row}
        return {
            name: np.array([row.get(name, np.nan) for row in rows]) for name in names
        }

    def _row(self, times: np.ndarray) -> dict[str, float]:
        chosen = np.repeat(np.arange(len(times)), times)
        return overall_floats(
            self._metric.compute_metrics([self._results[i] for i in chosen])
        )
