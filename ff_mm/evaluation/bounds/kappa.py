"""Bounds on Cohen's kappa, for which a mistake can be better than none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ff_mm.evaluation.bounds.bound import MARGIN, Bound

#: Name of a kappa -> weight of the disagreement of two class numbers.
KAPPA_WEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'kappa': lambda i, j: (i != j).astype(np.float64),
    'linear_kappa': lambda i, j: np.abs(i - j).astype(np.float64),
    'quadratic_kappa': lambda i, j: np.square(i - j).astype(np.float64),
}

#: The least value that is given for the best, whatever was seen.
LEAST = 0.01


class KappaBound(Bound):
    """Bound on Cohen's kappa, unweighted, linear or quadratic.

    Let D be the sum over all n cases of the weight w(t, p) of their true and predicted
    class, and e(p) the mean of w(i, p) over the n true classes i. The kappa is 1 - D /
    E, where E is the sum over the cases of e(p). All cases to come right is not always
    the best: a mistake raises D, but may raise E more.

    - Unweighted and linear: w(i, p) - w(i, t) <= w(t, p), the triangle inequality, so a
      mistake raises E by no more than D. If D / E <= 1, that cannot lower D / E; if D /
      E > 1, it remains more than 1. So the best is the kappa with the other cases
      right, or else none above 0.
    - Quadratic: one p for each case to come is sought for which D / E is least, p being
      any whole number from 0, whatever the classes of the model. D / E < q holds just
      if D - q E < 0, a sum in which each case has a term of its own, (t - p)^2 - q
      e(p), so that for a given q < 1 the least is known in closed form: a parabola. q
      is the D / E of the last solution until that falls no more (Dinkelbach).

    Values below :data:`LEAST` are given as that, which saves the case of q near 1.

    Args:
        truth: Class numbers of all cases, of shape (cases,).
        score: Which kappa, a key of :data:`KAPPA_WEIGHTS`.

    References:
        Dinkelbach, "On nonlinear fractional programming", 1967.
    """

    def __init__(self, truth: np.ndarray, score: str) -> None:
        self._weight = KAPPA_WEIGHTS[score]
        self._is_quadratic = score == 'quadratic_kappa'
        self._truth = np.bincount(truth)
        self._classes = np.arange(len(self._truth))
        self._mean = float(truth.mean())
        self.clear()

    def clear(self) -> None:
        """Forgets the cases that were added."""
        self._rest = self._truth.copy()
        self._disagreement = self._expected = 0.0

    def add(self, results: Sequence[tuple[int, int]]) -> None:
        """Takes in further cases, as true and predicted class numbers."""
        true, predicted = np.array(results).T
        self._rest -= np.bincount(true, minlength=len(self._rest))
        self._disagreement += float(self._weight(true, predicted).sum())
        self._expected += float(self._by_chance(predicted).sum())

    def best(self) -> float:
        """Returns the kappa for the best predictions of all other cases."""
        ratio = min(self._ratio(self._classes), 1 - LEAST)
        if self._is_quadratic:
            while (better := self._ratio(self._best_predictions(ratio))) < ratio:
                ratio = better
        return 1 - ratio + MARGIN

    def errors(self, results: Sequence[tuple[int, int]]) -> np.ndarray:
        """Returns the weight of each case's disagreement, 0 where it is right."""
        return self._weight(*np.array(results).reshape(-1, 2).T)

    def _ratio(self, predicted: np.ndarray) -> float:
        """D / E if each class, where it is to come, is predicted as this."""
        disagreement = self._rest @ self._weight(self._classes, predicted)
        expected = self._expected + float(self._rest @ self._by_chance(predicted))
        # E = 0: all are of one class, for which there is no kappa above 0.
        return (self._disagreement + float(disagreement)) / expected if expected else 1

    def _best_predictions(self, ratio: float) -> np.ndarray:
        """Of each class the whole number nearest to the bottom of its parabola."""
        bottom = (self._classes - ratio * self._mean) / (1 - ratio)
        return np.maximum(np.rint(bottom), 0)

    def _by_chance(self, predicted: np.ndarray) -> np.ndarray:
        """The mean weight between all true classes and each predicted one."""
        weights = self._weight(self._classes, np.asarray(predicted)[:, None])
        return weights @ self._truth / self._truth.sum()
