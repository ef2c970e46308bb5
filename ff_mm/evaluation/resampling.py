"""Bootstrap resamples of the cases of a set, the same ones for every model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ff_mm.evaluation.predictions import PredictionsError

# Elements of a batch of counts: small enough for the processor's cache.
_BATCH = 1 << 18
# Draws a resample, on average, that keeping every class may cost, and how many draws
# tell.
_DRAWS, _TRIED = 100, 1000


#: How many resamples say whether one model is better than another, and their seed.
_RESAMPLES, _SEED = 1000, 0


class Cases(Protocol):
    """What is drawn from: predictions, or outputs, of a set."""

    @property
    def truth(self) -> np.ndarray:
        """Class numbers, or labels."""

    @property
    def groups(self) -> np.ndarray | None:
        """The patient or lesion of each; None: cases are independent."""

    def __len__(self) -> int:
        """How many cases there are."""

    @property
    def is_multilabel(self) -> bool:
        """Whether a case can have several labels."""

    @property
    def scores(self) -> np.ndarray:
        """Of shape (cases, classes or labels)."""


class Resampling:
    """Draws groups of cases with replacement, as many as there are.

    A group is all that belongs together, such as the images of a patient: it is drawn
    as a whole, since its cases are not independent. So the number of cases varies
    between resamples. Without groups each case is one.

    A resample without a single case of a class that the set has (of multi-label data:
    without a positive, or without a negative, of a label that has some) is drawn again,
    as metrics would compare something else in it. A class of one group is missing from
    37 % of all draws, so this makes its cases count more than in the set; an interval
    that hangs on so few cases says little in any case.

    Where that would take more than 100 draws a resample (ten classes of one group each,
    say), the rarest classes may be missing after all, as few as will do;
    :attr:`may_lack` says which. A metric then has in such resamples what it has for an
    absent class: the macro recall is the mean over the others, an AUROC that has no
    value is NaN.

    Args:
        predictions: Of any model; truth and groups count.
        resamples: How many to draw.
        seed: The same seed gives the same resamples.

    Attributes:
        groups: How many groups there are; of independent cases, as many as cases.
        may_lack: Numbers of the classes or labels that a resample need not have.
        redrawn: How many were drawn again; known once all have been drawn.

    Raises:
        PredictionsError: There is only one case or group.
    """

    def __init__(self, predictions: Cases, resamples: int, seed: int) -> None:
        self._resamples = resamples
        self._seed = seed
        self._group_of, self.groups = _numbered(predictions)
        if self.groups < 2:
            raise PredictionsError(
                'bootstrap: all cases are one group (patient, lesion), so that nothing '
                'can be drawn; leave the group out of the data set'
            )
        kinds = _kinds(predictions)
        occurring = np.flatnonzero(kinds.any(axis=0))
        having = self._groups_that_have(kinds[:, occurring])
        usual = self._often_together(having)
        self._required = having[:, usual]
        # Of labels the negatives follow the positives.
        rare = occurring[~usual] % predictions.scores.shape[1]
        self.may_lack = sorted({int(number) for number in rare})
        self.redrawn = 0

    def batches(self) -> Iterator[np.ndarray]:
        """Draws all resamples, from the first on each time it is called.

        Yields:
            How often each case is in each resample, float64 of shape (resamples of the
            batch, cases). A batch takes a few megabytes, or is one resample.
        """
        random = np.random.default_rng(self._seed)
        missing, drawn = self._resamples, 0
        while missing:
            counts = self._draw(random, missing)
            drawn += len(counts)
            counts = counts[(counts @ self._required > 0).all(axis=1)]
            missing -= len(counts)
            if len(counts):
                yield counts[:, self._group_of]
        self.redrawn = drawn - self._resamples

    def _draw(self, random: np.random.Generator, most: int) -> np.ndarray:
        """How often each group is drawn, of shape (draws of a batch, groups)."""
        number = min(most, max(1, _BATCH // len(self._group_of)))
        drawn = random.integers(self.groups, size=(number, self.groups))
        # One count for all, the groups of each draw under numbers of their own.
        drawn += self.groups * np.arange(number)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=number * self.groups)
        return counts.reshape(number, self.groups).astype(np.float64)

    def _groups_that_have(self, kinds: np.ndarray) -> np.ndarray:
        """Which groups have a case of each kind, 1 or 0, of shape (groups, kinds)."""
        having = np.zeros((self.groups, kinds.shape[1]))
        np.maximum.at(having, self._group_of, kinds)
        return having

    def _often_together(self, having: np.ndarray) -> np.ndarray:
        """As many kinds as can be asked for, the most common ones; as a mask."""
        random = np.random.default_rng([self._seed, 1])
        tried: list[np.ndarray] = []
        while (left := _TRIED - sum(map(len, tried))) > 0:
            tried.append(self._draw(random, left) @ having > 0)
        present = np.concatenate(tried)
        common_first = np.argsort(-present.mean(axis=0), kind='stable')
        together = np.logical_and.accumulate(present[:, common_first], axis=1)
        usual = np.zeros(having.shape[1], bool)
        usual[common_first] = together.mean(axis=0) * _DRAWS >= 1
        return usual


def _kinds(predictions: Cases) -> np.ndarray:
    """Which cases are of each kind that resamples are to have, (cases, kinds).

    Kinds are the classes; or the positives of all labels, then the negatives of all.
    """
    truth = predictions.truth
    if predictions.is_multilabel:
        return np.concatenate([truth == 1, truth == 0], axis=1)
    return truth[:, None] == np.arange(predictions.scores.shape[1])


def _numbered(predictions: Cases) -> tuple[np.ndarray, int]:
    """The group of each case, numbered without gaps, and how many there are."""
    if predictions.groups is None:
        return np.arange(len(predictions)), len(predictions)
    names, numbers = np.unique(predictions.groups, return_inverse=True)
    return numbers, len(names)


def agreement(cases: Cases, gain: Callable[[np.ndarray], np.ndarray]) -> float:
    """Returns in which part of resamples by group one model is better than another.

    Args:
        cases: Of either; truth and groups count.
        gain: By how much it is better, of shape (resamples,), given how often each case
            counts, of shape (resamples, cases). Neither 0 nor NaN is better.

    Raises:
        PredictionsError: There is only one case or group.
    """
    batches = Resampling(cases, _RESAMPLES, _SEED).batches()
    gains = np.concatenate([gain(counts) for counts in batches])
    return float((gains > 0).mean())


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Returns the percentile interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: Of the resamples; NaN are left out.
        confidence: Such as 0.95, for the quantiles 0.025 and 0.975, between values
            interpolated linearly.

    Returns:
        Lower and upper end; NaN if all values are.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return float('nan'), float('nan')
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
