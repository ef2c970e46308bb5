"""What every bound has to offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

#: By how much a bound is loosened whose sums do not round as scikit-learn's do. Sums of
#: up to a million terms are off by less than that.
MARGIN = 1e-10


class Bound(ABC):
    """The best value of one score over all cases, once some of them are processed.

    The truth of all cases is known from the start. Cases are added in any order, each
    once, and in the form in which the metric keeps them in its ``results``.
    """

    @abstractmethod
    def clear(self) -> None:
        """Forgets the cases that were added."""

    @abstractmethod
    def add(self, results: Sequence[Any]) -> None:
        """Takes in further cases.

        Args:
            results: What the metric keeps of them; one at least.
        """

    @abstractmethod
    def best(self) -> float:
        """Returns what no predictions of the other cases can beat; NaN: unknown."""

    @abstractmethod
    def errors(self, results: Sequence[Any]) -> np.ndarray:
        """Returns how wrong each of some cases is predicted.

        Args:
            results: What the metric keeps of them.

        Returns:
            Finite, 0 or more, of shape (cases,): 0 is right.
        """
