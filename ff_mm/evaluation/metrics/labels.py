"""Cases seen label by label, each label over the cases in which it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ff_mm.evaluation.metrics.counts import mean_over, quotient
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
    sums_of = sums_over_cases(parts, _is_broken(truth, scores))

    def mean(counts: np.ndarray) -> np.ndarray:
        sums = np.abs(sums_of(counts)).sum(axis=1)
        return quotient(sums, counts @ number, np.nan)

    return mean


def _is_broken(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which cases have a score of something known that is not finite."""
    known = (truth != MISSING).reshape(len(truth), -1)
    return (known & ~np.isfinite(scores)).any(axis=1)


def balanced_mean(
    truth: np.ndarray, scores: np.ndarray, costs: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a mean cost in which each answer counts alike, however rare.

    Of single-label data it is the mean over the classes that are true of a case of
    their mean cost. Of multi-label data it is the mean over labels, of each that of
    the cases in which it is present and of those in which it is absent.

    Args:
        truth: As :func:`ff_mm.evaluation.metrics.base.stack` gives it.
        scores: Likewise.
        costs: Of each case, or of each of its labels, of shape (cases, 1 or labels).

    Returns:
        As :func:`mean_over_known` does.
    """
    several = truth.ndim == 2
    answers = np.arange(2 if several else scores.shape[1])
    # Of shape (cases, labels, answers); single-label data are one question.
    is_answer = truth.reshape(len(truth), -1, 1) == answers
    parts = np.where(is_answer, costs[:, :, None], 0).reshape(len(truth), -1)
    sums_of = sums_over_cases(parts, _is_broken(truth, scores))
    number_of = is_answer.reshape(len(truth), -1).astype(np.float64)

    def mean(counts: np.ndarray) -> np.ndarray:
        sums, number = sums_of(counts), counts @ number_of
        means = quotient(sums, number, np.nan).reshape(-1, len(answers))
        occurs = number.reshape(means.shape) > 0
        of_labels = mean_over(means, occurs).reshape(len(counts), -1)
        known = occurs.any(axis=1).reshape(of_labels.shape)
        found = mean_over(of_labels, known)
        return np.where(np.isnan(sums).any(axis=1), np.nan, found)

    return mean


def sums_over_cases(
    parts: np.ndarray, is_broken: np.ndarray | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what cases add up to.

    Args:
        parts: What each case adds, of shape (cases, parts).
        is_broken: Of which cases it cannot be told besides those in which a part is not
            finite, of shape (cases,).

    Returns:
        Function of how often each case counts, of shape (resamples, cases), -> float64
        of shape (resamples, parts); NaN of a resample that has a broken case.
    """
    broken = ~np.isfinite(parts).all(axis=1)
    broken = broken if is_broken is None else broken | is_broken
    # They must not reach resamples that do not have them: 0 times NaN is NaN.
    by_part = np.ascontiguousarray(np.where(broken[:, None], 0, parts).T)
    weights = broken.astype(np.float64)

    def sums(counts: np.ndarray) -> np.ndarray:
        # Not a matrix product, which rounds by how many threads there are.
        found = np.einsum('rc,pc->rp', counts, by_part)
        return np.where((counts @ weights > 0)[:, None], np.nan, found)

    return sums
