"""What is counted of classes and labels, and the rates and means of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """How many cases count for classes or labels; arrays whose shapes broadcast.

    Of soft scores a case is predicted by its probability, so that what is predicted
    need not be whole.

    Attributes:
        hits: Of how many it is true and predicted (TP).
        true: Of how many it is true (TP + FN).
        predicted: Of how many it is predicted (TP + FP).
        cases: Of how many it is known.
    """

    hits: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    cases: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Of how many it is predicted rightly, be it true or not (TP + TN)."""
        return self.cases - self.true - self.predicted + 2 * self.hits


#: Name of a rate of classes or labels -> its value by the counts: recall TP / (TP +
#: FN), precision TP / (TP + FP), F1 2 TP / (2 TP + FP + FN) and specificity TN / (TN +
#: FP). A quotient 0 / 0 is 0.
RATES: dict[str, Callable[[Counts], np.ndarray]] = {
    'recall': lambda n: quotient(n.hits, n.true),
    'precision': lambda n: quotient(n.hits, n.predicted),
    'f1': lambda n: quotient(2 * n.hits, n.true + n.predicted),
    'specificity': lambda n: quotient(
        n.cases - n.true - n.predicted + n.hits, n.cases - n.true
    ),
}


def quotient(above: np.ndarray, below: np.ndarray, empty: float = 0) -> np.ndarray:
    """Divides; where both are 0 the result is ``empty``."""
    above, below = np.broadcast_arrays(above, below)
    result = np.full(below.shape, float(empty))
    return np.divide(above, below, out=result, where=below != 0)


def mean_over(values: np.ndarray, counting: np.ndarray) -> np.ndarray:
    """Returns means over the classes or labels that count in each resample.

    Args:
        values: Of shape (resamples, classes or labels).
        counting: Which ones count, or how much, of the same shape.

    Returns:
        Of shape (resamples,); NaN where none counts, or one that does is NaN.
    """
    # What counts nowhere is cut out, for zeros would change how a sum rounds.
    some = counting.any(axis=0)
    counted = np.compress(some, np.where(counting > 0, values * counting, 0), axis=1)
    return quotient(counted.sum(axis=1), counting.sum(axis=1), np.nan)
