"""Rates of classes or labels, by the mistakes that were made in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ErrorCounts:
    """Counts of classes or labels; every array is int64 of shape (classes,).

    Attributes:
        present: In how many of all cases it is true.
        absent: In how many of all cases it is known and not true.
        missed: In how many it is true and was not predicted (FN).
        false: In how many it is not true and was predicted (FP).
    """

    present: np.ndarray
    absent: np.ndarray
    missed: np.ndarray
    false: np.ndarray

    @property
    def hit(self) -> np.ndarray:
        """In how many it is true and, as far as is known, predicted (TP)."""
        return self.present - self.missed


#: Name of a rate -> its value for each class, float64 of shape (classes,); 0 / 0 is 0.
#: With the totals fixed, each falls, or stays, with every further case that is missed
#: or false: numerators lose and denominators keep or gain. (Precision and F1 are h / (h
#: + f) and 2 h / (p + h + f) with h = hit = present - missed, which rise with h.) So
#: all cases to come right is the best there is. In floating point, too: one division
#: of whole numbers is rounded monotonically, and so is each sum of a mean. scikit-learn
#: (from 1.4 on for F1) divides the same numbers, so the values are its own to the bit.
RATES: dict[str, Callable[[ErrorCounts], np.ndarray]] = {
    'recall': lambda n: _quotient(n.hit, n.present),
    'precision': lambda n: _quotient(n.hit, n.hit + n.false),
    'f1': lambda n: _quotient(2 * n.hit, n.present + n.hit + n.false),
    'specificity': lambda n: _quotient(n.absent - n.false, n.absent),
}


def _quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)
