"""Scores of classes or labels against the rest, from counts."""

from __future__ import annotations

import numpy as np

from ff_mm.evaluation.weighted.weighted_metric import quotient


def rate(
    name: str,
    hits: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
    cases: np.ndarray,
) -> np.ndarray:
    """Returns one of :data:`ff_mm.evaluation.binary_scores.BINARY_SCORES`.

    Args:
        name: ``'recall'``, ``'precision'``, ``'f1'`` or ``'specificity'``.
        hits: How many cases have it and are predicted to (TP).
        true: How many have it (TP + FN).
        predicted: How many are predicted to (TP + FP).
        cases: How many there are. All of shapes that broadcast.

    Returns:
        Float64 of shape (resamples, classes or labels); 0 / 0 is 0.
    """
    if name == 'recall':
        return quotient(hits, true, 0)
    if name == 'precision':
        return quotient(hits, predicted, 0)
    if name == 'f1':
        return quotient(2 * hits, true + predicted, 0)
    return quotient(cases - true - predicted + hits, cases - true, 0)
