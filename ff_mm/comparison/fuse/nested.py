"""Choosing between fusions, and what a fusion that was so chosen is worth."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from ff_mm.comparison.recommendation import choose
from ff_mm.errors import FFMMError
from ff_mm.evaluation.decisions.decision import Outputs
from ff_mm.evaluation.decisions.folds import folds
from ff_mm.evaluation.metrics.offline import silence
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Nested:
    """A choice, and what comes of choosing so where nobody looks at the case itself.

    Attributes:
        chosen: The name of the one with the best metric of all cases, of equal ones the
            first.
        by_fold: Whom the cases of all folds but one choose, one fold after the other.
        expected: Of each case what the one says that the other folds' cases choose.
    """

    chosen: str
    by_fold: tuple[str, ...]
    expected: Predictions


def choose_nested(
    said: Mapping[str, Predictions],
    metrics: PredictionMetrics,
    metric: str,
    rule: str,
) -> Nested:
    """Chooses a model by validation, and tries that choice out on parts of it.

    The best of k models on the cases that choose it looks better than it is. So the
    cases are dealt out in parts of whole groups (patients, lesions): on each part the
    model is judged that all others choose. That is true of the choice between these
    models; how each of them was made may have looked at all cases.

    Args:
        said: What each model says of the same cases, the preferred of equal ones first.
        metrics: Those of the set.
        metric: The one that chooses.
        rule: ``'greater'`` or ``'less'``: which value of it is better.

    Raises:
        ConfigError: All cases are of one group.
        FFMMError: The metric of all of them is NaN.
    """
    first = next(iter(said.values()))
    chosen = _best(said, metrics, metric, rule, np.ones(len(first), bool))
    scores = np.empty_like(first.scores)
    by_fold = []
    for fold in folds(Outputs(first.scores, first.truth, first.groups)):
        name = chosen
        with suppress(FFMMError):  # the others lack what the metric needs
            name = _best(said, metrics, metric, rule, ~fold)
        scores[fold] = said[name].scores[fold]
        by_fold.append(name)
    return Nested(chosen, tuple(by_fold), replace(first, scores=scores))


def _best(
    said: Mapping[str, Predictions],
    metrics: PredictionMetrics,
    metric: str,
    rule: str,
    cases: np.ndarray,
) -> str:
    with silence():
        scores = {
            name: [float(metrics.evaluate(_part(of, cases))[metric])]
            for name, of in said.items()
        }
    return choose(scores, rule).method


def _part(said: Predictions, cases: np.ndarray) -> Predictions:
    """Some of the cases; metrics look at truth and scores only."""
    groups = None if said.groups is None else said.groups[cases]
    kept = tuple(np.array(said.cases)[cases].tolist())
    return Predictions(said.scores[cases], said.truth[cases], kept, groups)
