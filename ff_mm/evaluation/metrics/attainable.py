"""Which value of a metric can still be reached while its cases are being processed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from mmengine.evaluator import BaseMetric

from ff_mm.evaluation.bounds import Bound


class Bounded(Protocol):
    """A metric with bounds on its scores.

    A class that derives from such a metric may compute something else, so it has
    bounds only if it defines ``bound`` itself.
    """

    results: list[Any]

    def bound(
        self, name: str, rule: str, samples: Sequence[Mapping[str, Any]]
    ) -> Bound | None:
        """Returns a bound on one score; None where no sound one is known.

        Args:
            name: Of the score, as ``compute_metrics`` names it.
            rule: ``'greater'`` or ``'less'``: which value is the better one.
            samples: Data samples of all cases as dicts, as ``process`` gets them; the
                predictions are not used and need not be there.
        """

    def value(self, name: str, results: Sequence[Any]) -> float:
        """Returns one score, exactly as ``compute_metrics`` has it among all."""


class AttainableScore:
    """The best value that a metric can still reach once part of the cases is predicted.

    The bound is sound in floating point, too: no predictions of the other cases give
    the metric a better value than :meth:`best`. So a candidate whose best value does
    not beat another's score would not beat it in the end, and need not be evaluated
    any further. How each bound comes about stands in :mod:`ff_mm.evaluation.bounds`.

    Args:
        metric: A metric that processes the cases, one that has bounds.
        name: The name of the score, without the metric's prefix.
        bound: The metric's bound on it, for the truth of all cases.
        cases: How many cases there are.
    """

    def __init__(self, metric: Bounded, name: str, bound: Bound, cases: int) -> None:
        self._metric = metric
        self._name = name
        self._bound = bound
        self._cases = cases
        self._added = 0
        self._last: Any = None

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
            None where no sound bound is known: none of ff_mm's own metrics, a score
            without a bound, the rule for which the worst would be the best, or a score
            that the truth leaves undefined.
        """
        for metric in metrics:
            prefix = f'{metric.prefix}/' if metric.prefix else ''
            if 'bound' not in vars(type(metric)) or not name.startswith(prefix):
                continue
            own = name[len(prefix) :]
            bound = metric.bound(own, rule, samples)
            if bound is not None:
                return cls(metric, own, bound, len(samples))
        return None

    def best(self, rest: Sequence[int]) -> float:
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
        if len(results) + len(rest) != self._cases:
            raise ValueError(
                f'{len(results)} cases processed and a rest of {len(rest)}: expected '
                f'{self._cases} together, each case once'
            )
        if not len(rest):
            return self._metric.value(self._name, results)
        self._catch_up(results)
        return self._bound.best()

    def errors(self, results: Sequence[Any] | None = None) -> np.ndarray:
        """Returns how wrong each case is predicted, to see the hardest ones first.

        Args:
            results: What the metric keeps of some cases; None: of those processed.

        Returns:
            Finite, 0 or more, of shape (cases,), in the order of the results; 0 is
            right. Of predicted classes 1 is wrong, or the weight of the disagreement
            where the score is a kappa; of predicted labels the number of wrong ones; of
            costs the cost in nats or squares; of rankings the distance of scores from
            the truth, summed over labels. What is not finite counts as quite wrong.
        """
        return self._bound.errors(self._metric.results if results is None else results)

    def _catch_up(self, results: list[Any]) -> None:
        """Adds to the bound what came since; anew if the metric was cleared."""
        # The last one is held, so no new object can be taken for it.
        added = self._added
        if added and (len(results) < added or results[added - 1] is not self._last):
            self._bound.clear()
            self._added = added = 0
        if len(results) > added:
            self._bound.add(results[added:])
            self._added, self._last = len(results), results[-1]
