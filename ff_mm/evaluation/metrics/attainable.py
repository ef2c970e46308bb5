"""Which value of a metric can still be reached while its cases are being processed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from ff_mm.evaluation.metrics.base import (
    Claim,
    CountedMetric,
    is_counted,
    once,
    stack,
)
from ff_mm.evaluation.metrics.offline import prefixed, silence


class AttainableScore:
    """The best value that a metric can still reach once part of the cases is predicted.

    It is the metric's value over the cases seen and the others, predicted right. That
    no other predictions are better is the metric's claim
    (:meth:`ff_mm.evaluation.metrics.base.CountedMetric.claim`), with its reason. So a
    candidate whose best value does not beat another's score would not beat it in the
    end, and need not be evaluated any further.

    Args:
        metric: A metric that processes the cases.
        name: The name of the score, without the metric's prefix.
        claim: That right predictions are its best.
        truth: Of all cases, as :func:`ff_mm.evaluation.metrics.base.stack` gives it.
        classes: Of single-label data, how many the model is likely to have.
    """

    def __init__(
        self,
        metric: CountedMetric,
        name: str,
        claim: Claim,
        truth: np.ndarray,
        classes: int,
    ) -> None:
        self._metric = metric
        self._name = name
        self._claim = claim
        self._truth = truth
        self._classes = classes

    @classmethod
    def find(
        cls,
        metrics: Sequence[BaseMetric],
        name: str,
        rule: str,
        samples: Sequence[Mapping[str, Any]],
    ) -> AttainableScore | None:
        """Returns the best attainable value of a validation metric, if it has one.

        Args:
            metrics: Those of MMEngine's ``Evaluator``, with their ``dataset_meta``.
            name: The metric's name among all, its prefix included.
            rule: ``'greater'`` or ``'less'``: which value is the better one.
            samples: Data samples of all cases as dicts, with ``gt_label`` of shape (1,)
                or ``gt_score`` of shape (labels,).

        Returns:
            None where nobody claims that right predictions are best: none of ff_mm's
            own metrics, another score, the rule for which the worst would be the best,
            or a score that the truth leaves undefined.
        """
        for metric in metrics:
            prefix = prefixed(metric, '')
            # A class that derives from such a metric may compute something else.
            claims = is_counted(metric) and 'claim' in vars(type(metric))
            if not (claims and name.startswith(prefix)):
                continue
            own = name.removeprefix(prefix)
            claim = metric.claim(own)
            if not claim or claim.rule != rule:
                continue
            truth = metric.truth_of(samples)
            if truth is None:
                continue
            classes = _number_of_classes(metric, truth)
            if _is_defined(metric, own, truth, classes):
                return cls(metric, own, claim, truth, classes)
        return None

    def best(self, rest: Sequence[int] | np.ndarray) -> float:
        """Returns the best value that the metric can reach.

        Args:
            rest: The cases that the metric has not processed yet, as indices of the
                samples. All others are in its ``results``, in any order, once.

        Returns:
            What no predictions of the rest can beat. It does not get better as further
            cases are processed. Without a rest it is the metric's value, to the last
            bit. NaN: it cannot be told, such as where a score is not finite.

        Raises:
            ValueError: If the rest and the cases processed are not all cases.
        """
        results = self._metric.results
        if len(results) + len(rest) != len(self._truth):
            raise ValueError(
                f'{len(results)} cases processed and a rest of {len(rest)}: expected '
                f'{len(self._truth)} together, each case once'
            )
        if not len(rest):
            return self._metric.compute_metrics(results)[self._name]
        truth = self._truth[rest]
        seen = stack(results) if results else None
        classes = self._metric.outputs(seen[1]) if seen else self._classes
        right = self._metric.perfect(truth, classes)
        assert right is not None  # or `find` would have found nothing
        seen = seen or (truth[:0], right[:0])
        best = self._metric.best(self._name, seen, (truth, right))
        margin = self._claim.margin
        return best + margin if self._claim.rule == 'greater' else best - margin

    def errors(self) -> np.ndarray:
        """Returns how wrong each case processed is predicted, in their order.

        See :meth:`ff_mm.evaluation.metrics.base.CountedMetric.errors`.
        """
        if not self._metric.results:
            return np.zeros(0)
        return self._metric.errors(self._name, *stack(self._metric.results))


def _is_defined(
    metric: CountedMetric, name: str, truth: np.ndarray, classes: int
) -> bool:
    """Whether a score is a number if all cases are predicted right."""
    right = metric.perfect(truth, classes)
    if right is None:
        return False
    with silence():
        found = once(metric.scores(truth, right), len(truth))
    return not math.isnan(found.get(name, math.nan))


def _number_of_classes(metric: CountedMetric, truth: np.ndarray) -> int:
    """How many classes the model has, as far as that is known before a prediction."""
    named = len((metric.dataset_meta or {}).get('classes') or ())
    return max(named, int(truth.max()) + 1, 2)
