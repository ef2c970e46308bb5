"""Cases seen label by label, each label over the cases in which it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ff_mm.evaluation.metrics.base import quotient
from ff_mm.one_line import one_line
from ff_mm.plain import MISSING


def against_rest(
    truth: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns truth and scores with each class of single-label data as a label.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
        scores: Likewise.

    Returns:
        Truth (int8) and scores of shape (cases, labels). Multi-label data come back as
        they are. Of two classes there is only the second, as the first says the same.
    """
    if truth.ndim == 2:
        return truth, scores
    number = scores.shape[1]
    truth = np.eye(number, dtype=np.int8)[truth]
    return (truth[:, 1:], scores[:, 1:]) if number == 2 else (truth, scores)


def class_names(dataset_meta: Mapping[str, Any] | None, number: int) -> list[str]:
    """Returns the names of the first classes or labels of a data set.

    Args:
        dataset_meta: Meta information of the data set, with ``classes`` or without.
        number: How many names to return.

    Returns:
        The names. Where the data set has none it is the number, from 0.
    """
    classes = (dataset_meta or {}).get('classes') or ()
    # They become parts of names of metrics, which stand in logs.
    known = [one_line(str(name)) for name in classes[:number]]
    return known + [str(i) for i in range(len(known), number)]


def mean_over_known(
    truth: np.ndarray, scores: np.ndarray, parts: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a sum over cases, part by part, over the number of known elements.

    A cost has one part. The calibration error has a part a bin, and the sum of each
    counts without its sign.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
        scores: Likewise.
        parts: What each case adds, of shape (cases, parts).

    Returns:
        Function of how often each case counts, of shape (resamples, cases), -> float64
        of shape (resamples,); NaN where nothing is known, or a score of something known
        is not finite.
    """
    known = (truth != MISSING).reshape(len(truth), -1)
    number = known.sum(axis=1).astype(np.float64)
    is_broken = (known & ~np.isfinite(scores)).any(axis=1)
    is_broken |= ~np.isfinite(parts).all(axis=1)
    broken = is_broken.astype(np.float64)
    # They must not reach resamples that do not have them: 0 times NaN is NaN.
    by_part = np.ascontiguousarray(np.where(is_broken[:, None], 0, parts).T)

    def mean(counts: np.ndarray) -> np.ndarray:
        # Not a matrix product, which rounds by how many threads there are.
        sums = np.abs(np.einsum('rc,pc->rp', counts, by_part)).sum(axis=1)
        means = quotient(sums, counts @ number, np.nan)
        return np.where(counts @ broken > 0, np.nan, means)

    return mean
