"""The hierarchical bootstrap: over settings, runs and cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


class HierarchicalBootstrap:
    """Draws settings, in each of them runs, and for these cases.

    What is drawn, once for each of as many resamples as the comparisons have:

    1. Settings (data sets): as many as there are, with replacement.
    2. In each drawn setting its runs (seeds): as many as there are, with replacement.
    3. In each drawn setting its cases, by patient or lesion where these are known: the
       resamples that the comparison has kept, one for all runs of the setting. A
       setting that is drawn twice has two draws of runs and of cases.

    The mean over the drawn settings is taken of all that: each setting counts as much,
    whatever number of cases and runs it has. Draws are the same for all methods that
    are in the same settings, so that methods are paired, and so are all metrics. Steps
    2 and 3 are those of a comparison: of a single setting the interval is its own.

    What it assumes: that settings are a sample, independent of each other, of the data
    sets that somebody wants to know of; runs one of all seeds; patients one of all
    patients. A study's settings are chosen, never drawn, so this is a way to say how
    much the mean hangs on which they are. With K settings the variance between them is
    underestimated by the factor (K - 1) / K, and no interval can reach beyond the
    settings that there are: with five it is coarse and rather too narrow, with two it
    says next to nothing. The other way round, what settings differ by has the chance of
    their cases and seeds in it already, and these are drawn once more: where settings
    hardly differ the interval is too wide. Settings of the same images (a source and
    its reverse) are not independent, which makes it too narrow.

    With the settings fixed only steps 2 and 3 are drawn: how sure the mean over these
    very data sets is, which says nothing of others.

    Args:
        settings: Names of all settings.
        resamples: How many each of them has.
        seed: The same seed gives the same numbers.
    """

    def __init__(self, settings: Sequence[str], resamples: int, seed: int) -> None:
        self._numbers = {name: number for number, name in enumerate(settings)}
        self._resamples = resamples
        self._seed = seed

    def over_settings(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the mean over drawn settings in each resample.

        Args:
            values: Of each setting that has some, (resamples,), runs and cases drawn.

        Returns:
            (resamples,); NaN where one of those drawn is.
        """
        stacked, order, random = self._orders(values)
        drawn = random.integers(len(stacked), size=order.shape)
        return stacked[drawn, order].mean(axis=0)

    def fixed(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the mean over all settings in each resample.

        Args:
            values: As of :meth:`over_settings`.
        """
        stacked, order, _ = self._orders(values)
        return np.take_along_axis(stacked, order, axis=1).mean(axis=0)

    def _orders(
        self, values: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        """Values of settings, and for each draw of one which resample it takes.

        Resamples of different settings have nothing to do with each other, and must
        not, be they drawn with the same seed: each draw goes through them in an order
        of its own. Each takes every resample once.
        """
        numbers = sorted(self._numbers[name] for name in values)
        random = np.random.default_rng([self._seed, 3, *numbers])
        names = {number: name for name, number in self._numbers.items()}
        stacked = np.stack([values[names[number]] for number in numbers])
        order = np.stack([random.permutation(self._resamples) for _ in numbers])
        return stacked, order, random
