"""Fitting a decision, on all cases or so that no case is judged by its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Decision, Outputs, probabilities
from ff_mm.evaluation.decisions.folds import folds
from ff_mm.evaluation.decisions.steps import Score, Step

Steps = Sequence[tuple[str, Step]]


@dataclass(frozen=True)
class Fitted:
    """A decision, and what a report says of its steps."""

    decision: Decision
    steps: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Cases that were decided on by what was fitted on others.

    Attributes:
        outputs: The decided logits.
        decisions: One a fold, fitted on all other folds.
        fold_of: The number of the fold that each case is in.
    """

    outputs: Outputs
    decisions: list[Decision]
    fold_of: np.ndarray


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


def cross_fitted(outputs: Outputs, steps: Steps, score: Score) -> CrossFitted:
    """Decides on each case by what was fitted on the groups of other cases.

    Args:
        outputs: Of all cases.
        steps: As for :func:`fit`.
        score: Likewise.
    """
    masks = list(folds(outputs))
    decisions = [fit(outputs.take(~fold), steps, score).decision for fold in masks]
    fold_of = np.argmax(masks, axis=0)
    logits = _by_fold(outputs.logits, decisions, fold_of)
    decided = Outputs(logits, outputs.truth, outputs.groups)
    return CrossFitted(decided, decisions, fold_of)


def decided_by_others(
    scores: np.ndarray,
    multilabel: bool,
    decision: Decision,
    decisions: Sequence[Decision],
    fold_of: np.ndarray,
) -> np.ndarray:
    """Returns the scores of cross-fitting, from those of the file.

    Args:
        scores: Of a model with a decision in it, of the cases that it was fitted on.
        multilabel: Whether a case can have several labels.
        decision: That decision.
        decisions: As :class:`CrossFitted` has them.
        fold_of: Likewise.
    """
    plain = _undecided_logits(scores, multilabel, decision)
    return probabilities(_by_fold(plain, decisions, fold_of), multilabel)


def undecided(scores: np.ndarray, multilabel: bool, decision: Decision) -> np.ndarray:
    """Returns the scores without a decision, from those with it.

    Args:
        scores: Of a model with a decision in it.
        multilabel: Whether a case can have several labels.
        decision: That decision.
    """
    return probabilities(_undecided_logits(scores, multilabel, decision), multilabel)


def _undecided_logits(
    scores: np.ndarray, multilabel: bool, decision: Decision
) -> np.ndarray:
    wide = scores.astype(np.float64)
    with np.errstate(divide='ignore'):
        logits = np.log(wide) - (np.log1p(-wide) if multilabel else 0)
    return decision.undo(logits)


def _by_fold(
    logits: np.ndarray, decisions: Sequence[Decision], fold_of: np.ndarray
) -> np.ndarray:
    decided = logits.copy()
    for fold, decision in enumerate(decisions):
        cases = fold_of == fold
        decided[cases] = decision.apply(logits[cases])
    return decided
