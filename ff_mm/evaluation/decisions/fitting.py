"""Fitting a decision, on all cases or so that no case is judged by its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision, Outputs
from ff_mm.evaluation.decisions.folds import folds
from ff_mm.evaluation.decisions.steps import Score, Step

Steps = Sequence[tuple[str, Step]]


@dataclass(frozen=True)
class Fitted:
    """A decision, and what a report says of its steps."""

    decision: Decision
    steps: list[dict[str, Any]]


def fit(outputs: Outputs, steps: Steps, score: Score) -> Fitted:
    """Fits steps one after the other.

    Args:
        outputs: Of the cases to fit them on.
        steps: Their names, and they.
        score: What is selected by; the larger the better.

    Raises:
        ConfigError: A logit that is not finite, or too few groups.
    """
    if not np.isfinite(outputs.logits).all():
        raise ConfigError(
            'soup.decision: the soup gives logits that are not finite on validation, '
            'so nothing can be fitted: leave the decision or such ingredients out'
        )
    decision, described = Decision(), []
    for name, step in steps:
        one, facts = step.fit(outputs, score)
        outputs, decision = outputs.decided(one), decision.then(one)
        described.append(dict(type=name, **facts))
    return Fitted(decision, described)


def cross_fitted(outputs: Outputs, steps: Steps, score: Score) -> Outputs:
    """Decides on each case by what was fitted on the groups of other cases.

    Args:
        outputs: Of all cases.
        steps: As for :func:`fit`.
        score: Likewise.

    Returns:
        The decided logits.
    """
    logits = outputs.logits.copy()
    for fold in folds(outputs):
        decision = fit(outputs.take(~fold), steps, score).decision
        logits[fold] = decision.apply(logits[fold])
    return Outputs(logits, outputs.truth, outputs.groups)
