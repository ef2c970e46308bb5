"""The best temperature and the best thresholds of cases, exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ff_mm.evaluation.decisions.decision import Outputs
from ff_mm.evaluation.metrics.counts import RATES, Counts, quotient
from ff_mm.plain import MISSING

#: Between which scales are looked for. Without a mistake among the cases the loss would
#: fall with the scale forever.
SCALES = (0.05, 20.0)
_STEPS = 60

#: What thresholds can be best for -> its value by the counts of a label.
OBJECTIVES: dict[str, Callable[[Counts], np.ndarray]] = {
    'f1': RATES['f1'],
    'balanced_accuracy': lambda n: (RATES['recall'](n) + RATES['specificity'](n)) / 2,
    'accuracy': lambda n: quotient(n.right, n.cases),
}


def best_scale(outputs: Outputs) -> float:
    """Returns the scale of the logits with the least cross entropy.

    The loss is convex in the scale, so its slope has one zero.

    Args:
        outputs: Finite.
    """
    low, high = np.log(SCALES)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _slope(outputs, float(np.exp(middle))) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp((low + high) / 2))


def _slope(outputs: Outputs, scale: float) -> float:
    """The derivative of the summed loss by the scale."""
    logits, truth = outputs.logits, outputs.truth
    if outputs.is_multilabel:
        expected = 0.5 * (1 + np.tanh(0.5 * scale * logits))  # never overflows
        return float((((expected - truth) * logits)[truth != MISSING]).sum())
    shifted = logits - logits.max(axis=1, keepdims=True)
    weights = np.exp(scale * shifted)
    weights /= weights.sum(axis=1, keepdims=True)
    true = shifted[np.arange(len(truth)), truth]
    return float(((weights * shifted).sum(axis=1) - true).sum())


def best_cut(logits: np.ndarray, present: np.ndarray, objective: str) -> float:
    """Returns from which logit on a label is best predicted.

    It lies halfway between two logits that occur, or 1 beyond all of them. Of several
    that are as good it is the one nearest to 0, where it was.

    Args:
        logits: Of the cases in which the label is known, of shape (cases,).
        present: Whether they have it.
        objective: A key of :data:`OBJECTIVES`.
    """
    values, where = np.unique(-logits, return_inverse=True)
    values, where = -values, where.reshape(-1)
    number = np.bincount(where, minlength=len(values))
    hits = np.bincount(where, weights=present, minlength=len(values))
    # With none predicted, with all of the largest logit, and so on.
    counts = Counts(
        hits=np.concatenate([[0], hits.cumsum()]),
        true=np.array(float(present.sum())),
        predicted=np.concatenate([[0], number.cumsum()]).astype(np.float64),
        cases=np.array(float(len(logits))),
    )
    between = (values[:-1] + values[1:]) / 2
    cuts = np.concatenate([[values[0] + 1], between, [values[-1] - 1]])
    value = OBJECTIVES[objective](counts)
    best = np.flatnonzero(value == value.max())
    return float(cuts[best[np.abs(cuts[best]).argmin()]])


def best_cuts(outputs: Outputs, objective: str) -> np.ndarray:
    """Returns from which logit on each label is best predicted.

    Args:
        outputs: Of multi-label data. A label that is never present, or never absent,
            where it is known, keeps 0.
        objective: A key of :data:`OBJECTIVES`.
    """
    cuts = np.zeros(outputs.logits.shape[1])
    for label, truth in enumerate(outputs.truth.T):
        known = truth != MISSING
        if len(np.unique(truth[known])) == 2:
            logits = outputs.logits[known, label]
            cuts[label] = best_cut(logits, truth[known] == 1, objective)
    return cuts
