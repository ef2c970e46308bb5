"""What resamples say of a value: its interval, and whether it differs from 0."""

from __future__ import annotations

import numpy as np


def over_drawn_runs(values: np.ndarray, seed: int) -> np.ndarray:
    """Returns the mean over as many runs as there are, drawn with replacement.

    Args:
        values: Of each run in each resample, (runs, resamples).
        seed: The draws come from it and from the number of runs alone: they are the
            same for methods, metrics and sets that have as many.

    Returns:
        (resamples,). One run is itself.
    """
    random = np.random.default_rng([seed, 2, len(values)])
    drawn = random.integers(len(values), size=values.shape)
    return np.take_along_axis(values, drawn, axis=0).mean(axis=0)


def two_sided_p(differences: np.ndarray) -> float:
    """Returns the two-sided p value of the hypothesis that there is no difference.

    It is twice the smaller of (1 + number of differences of at most 0) / (B + 1) and
    (1 + number of at least 0) / (B + 1), and 1 at most: the level at which the
    percentile interval just reaches 0 (Efron and Tibshirani 1993, chapter 15; the
    ones keep it from being 0, Davison and Hinkley 1997, chapter 4). It is 1 where
    nothing differs, and never less than 2 / (B + 1).

    Args:
        differences: Of the resamples; NaN are left out, B is the number of others.

    Returns:
        The p value; NaN if all differences are.
    """
    differences = differences[~np.isnan(differences)]
    number = len(differences)
    if not number:
        return float('nan')
    least = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, 2 * (1 + int(least)) / (number + 1))
