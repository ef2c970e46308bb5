"""A metric of resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from mmengine.evaluator import BaseMetric

from ff_mm.display.numbers import overall
from ff_mm.plain import to_plain


class WeightedMetric(Protocol):
    """Computes a metric of cases that each count a whole number of times.

    Args:
        metric: The metric.
        results: What the metric keeps of each case.
    """

    def __init__(self, metric: BaseMetric, results: Sequence[Any]) -> None: ...

    def values(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores of each resample, equal to the metric's up to rounding.

        Args:
            counts: How often each case is in each resample, float64 of shape
                (resamples, cases).

        Returns:
            Name, as ``compute_metrics`` has it -> float64 of shape (resamples,). Those
            of all cases together; not those of single classes or labels.
        """


def overall_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics that resamples are asked for: numbers, but no counts.

    Args:
        metrics: What ``compute_metrics`` gives, without prefix.
    """
    plain = to_plain(dict(metrics))
    chosen = {name: plain[name] for name in overall(plain)}
    return {name: value for name, value in chosen.items() if isinstance(value, float)}


def quotient(above: np.ndarray, below: np.ndarray, empty: float) -> np.ndarray:
    """Divides; where both are 0 the result is ``empty``.

    Args:
        above: The dividend.
        below: The divisor, of a shape that broadcasts; where it is 0, so is ``above``.
        empty: What 0 / 0 is to be.
    """
    above, below = np.broadcast_arrays(above, below)
    result = np.full(below.shape, float(empty))
    return np.divide(above, below, out=result, where=below != 0)
