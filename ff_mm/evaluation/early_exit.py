"""Ending a pass as soon as its candidate can no longer win."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ff_mm.evaluation.metrics.attainable import AttainableScore

CannotWin = Callable[[float], bool]


@dataclass(frozen=True)
class Selection:
    """What a pass is made for.

    Attributes:
        metric: The validation metric that selects.
        rule: ``'greater'`` or ``'less'``: which value is better.
        cannot_win: Says of the best score that a candidate can still reach whether that
            is of no use; None: the pass is to be finished whatever comes.
    """

    metric: str
    rule: str
    cannot_win: CannotWin | None = None


class EarlyExit:
    """Orders cases hardest first, and says when a candidate has lost.

    A candidate has lost once its score would not do even if all cases that it has not
    seen yet were predicted perfectly. That is exact: the full pass would have come to
    the same decision. It comes early where the cases that earlier candidates got wrong
    are the first.

    Args:
        attainable: The bound of the selecting metric.
        number: How many cases there are.
    """

    def __init__(self, attainable: AttainableScore, number: int) -> None:
        self._attainable = attainable
        self._errors = np.zeros(number)
        self._seen = np.zeros(number, dtype=np.int64)

    def order(self) -> np.ndarray:
        """Numbers of all cases, those with the largest mean error so far first."""
        mean = self._errors / np.maximum(self._seen, 1)
        return np.argsort(-mean, kind='stable')

    def watch(self, cannot_win: CannotWin) -> Watch:
        """Watches over one pass.

        Args:
            cannot_win: See :class:`Selection`.
        """
        return Watch(self._attainable, self.order(), cannot_win)

    def learn(self, order: np.ndarray) -> None:
        """Takes note of how wrong the cases were predicted that have been processed.

        Args:
            order: Their numbers, as they were processed.
        """
        self._errors[order] += self._attainable.errors()
        self._seen[order] += 1


class Watch:
    """Looks, now and then, whether a pass can end.

    Args:
        attainable: The bound of the selecting metric.
        order: Numbers of all cases, as they are processed.
        cannot_win: See :class:`Selection`.

    Attributes:
        order: As given.
    """

    def __init__(
        self, attainable: AttainableScore, order: np.ndarray, cannot_win: CannotWin
    ) -> None:
        self.order = order
        self._attainable = attainable
        self._cannot_win = cannot_win
        self._due = 0

    def lost(self, done: int) -> float | None:
        """Returns the best attainable score if that is of no use, else None.

        Args:
            done: How many cases have been processed.
        """
        if not self._due <= done < len(self.order):
            return None
        # Each look takes all cases into account: rarer the more there are.
        self._due = done + done // 8
        bound = self._attainable.best(self.order[done:])
        return bound if not math.isnan(bound) and self._cannot_win(bound) else None
