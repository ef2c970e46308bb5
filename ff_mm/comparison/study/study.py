"""All that ``study.json`` says: every method against the baseline, over settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from ff_mm.comparison.method import mean_cost
from ff_mm.comparison.study.bootstrap import HierarchicalBootstrap
from ff_mm.comparison.study.setting import SELECTED, Difference, Setting
from ff_mm.errors import ConfigError
from ff_mm.evaluation.resampling import percentile_interval

FORMAT = 1
DOMAINS = ('test', 'ood')
METRICS = (SELECTED, 'loss', 'auroc', 'accuracy', 'macro_recall')
#: Of which the way from the baseline to the ensemble is measured.
WAYS = ('loss', 'auroc')


class Study:
    """What methods do over several data sets, each against the same baseline.

    A difference is an improvement: above 0 a method is better than the baseline,
    whether more or less of the metric is. Each setting counts as much as any other. How
    intervals come about, and what they assume, stands at
    :class:`~ff_mm.comparison.study.bootstrap.HierarchicalBootstrap`.

    Args:
        settings: As :func:`~ff_mm.comparison.study.setting.read_settings` gives them.
        baseline: The method to which differences are taken; None: that of all
            comparisons.
        ensemble: The method whose gain is the whole way; None: the first one that is an
            ensemble.
        metrics: Those that differences are taken in, besides that of selection.
        confidence: Of the intervals, above 0 and below 1.
        margin: What a method must lose in a setting to be called worse there.
        seed: The same seed gives the same numbers.

    Raises:
        ConfigError: A method that no setting has, no baseline in common, or a number
            that is out of range.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        baseline: str | None = None,
        ensemble: str | None = None,
        metrics: Sequence[str] = METRICS,
        confidence: float = 0.95,
        margin: float = 0.005,
        seed: int = 0,
    ) -> None:
        if not 0 < confidence < 1:
            raise ConfigError(
                f'confidence={confidence!r}: expected a fraction, such as 0.95'
            )
        if not margin >= 0:
            raise ConfigError(f'margin={margin!r}: expected 0 or more, such as 0.005')
        if seed < 0:
            raise ConfigError(f'seed={seed!r}: expected 0 or more')
        self.settings = settings
        #: In the order in which they first occur.
        self.methods = list(dict.fromkeys(m for s in settings for m in s.methods))
        self.baseline = self._known('baseline', baseline or _baseline(settings))
        self.ensemble = self._ensemble(ensemble)
        self.metrics = list(dict.fromkeys([SELECTED, *metrics]))
        self._confidence, self._margin, self._seed = confidence, margin, seed
        self._resamples = settings[0].comparison['resamples']
        self._bootstrap = HierarchicalBootstrap(
            [setting.name for setting in settings], self._resamples, seed
        )

    def describe(self) -> dict[str, Any]:
        """Computes everything.

        Returns:
            The content of ``study.json``, see docs/architecture.md.
        """
        return dict(
            format=FORMAT,
            baseline=self.baseline,
            ensemble=self.ensemble,
            confidence=self._confidence,
            resamples=self._resamples,
            seed=self._seed,
            margin=self._margin,
            metrics=self.metrics,
            settings=[
                dict(
                    name=setting.name,
                    folder=str(setting.folder),
                    metric=setting.comparison['metric'],
                    sets=list(setting.comparison['sets']),
                    runs=_runs(setting, self.baseline),
                )
                for setting in self.settings
            ],
            methods={name: self._method(name) for name in self.methods},
        )

    def _known(self, option: str, method: str) -> str:
        if method not in self.methods:
            raise ConfigError(
                f'{option}={method!r}: no comparison has such a method, there are '
                f'{self.methods}'
            )
        return method

    def _ensemble(self, given: str | None) -> str | None:
        if given is not None:
            return self._known('ensemble', given)
        kinds = {
            n: each['soup'] for s in self.settings for n, each in s.methods.items()
        }
        return next((n for n in self.methods if kinds[n] == 'ensemble'), None)

    def _method(self, name: str) -> dict[str, Any]:
        where = [s for s in self.settings if {name, self.baseline} <= set(s.methods)]
        having = [s for s in self.settings if name in s.methods]
        return dict(
            title=having[0].methods[name]['title'],
            settings=[setting.name for setting in where],
            results={
                domain: {
                    metric: result
                    for metric in self.metrics
                    if (result := self._result(name, domain, metric)) is not None
                }
                for domain in DOMAINS
                if name != self.baseline
            },
            way={
                domain: {metric: self._way(name, domain, metric) for metric in WAYS}
                for domain in DOMAINS
                if name != self.baseline
            },
            cost=_cost([setting.methods[name]['cost'] for setting in having]),
        )

    def _differences(
        self, method: str, domain: str, metric: str
    ) -> dict[str, Difference]:
        found = {
            s.name: s.difference(method, self.baseline, metric, domain)
            for s in self.settings
        }
        return {name: each for name, each in found.items() if each is not None}

    def _result(self, method: str, domain: str, metric: str) -> dict[str, Any] | None:
        """What is said of one metric; None where no setting has it."""
        found = self._differences(method, domain, metric)
        if not found:
            return None
        values = {name: each.value for name, each in found.items()}
        resampled = {name: each.resampled for name, each in found.items()}
        worst = min(values, key=lambda name: values[name])
        fixed = self._interval(self._bootstrap.fixed(resampled))
        return dict(
            value=fmean(values.values()),
            **self._interval(self._bootstrap.over_settings(resampled)),
            fixed=fixed,
            worse=sum(value < -self._margin for value in values.values()),
            worst=worst,
            settings={
                name: dict(value=each.value, **self._interval(each.resampled))
                for name, each in found.items()
            },
        )

    def _interval(self, resampled: np.ndarray) -> dict[str, float | None]:
        low, high = percentile_interval(resampled, self._confidence)
        return dict(low=_number(low), high=_number(high))

    def _way(self, method: str, domain: str, metric: str) -> dict[str, Any] | None:
        """Which part of the ensemble's gain a method has: of means over settings.

        Where the ensemble's gain is not above 0 there is no way to go a part of; where
        its interval over settings is not, the part has no interval.
        """
        if self.ensemble is None:
            return None
        found = self._differences(method, domain, metric)
        whole = self._differences(self.ensemble, domain, metric)
        shared = [name for name in found if name in whole]
        if not shared:
            return None
        gain = fmean(whole[name].value for name in shared)
        if not gain > 0:
            return None
        drawn = self._bootstrap.over_settings(
            {name: whole[name].resampled for name in shared}
        )
        interval: dict[str, float | None] = dict(low=None, high=None)
        if percentile_interval(drawn, self._confidence)[0] > 0:
            own = self._bootstrap.over_settings(
                {name: found[name].resampled for name in shared}
            )
            interval = self._interval(own / np.where(drawn > 0, drawn, np.nan))
        value = fmean(found[name].value for name in shared) / gain
        return dict(value=value, **interval, settings=len(shared))


def _baseline(settings: Sequence[Setting]) -> str:
    """That of all comparisons.

    Raises:
        ConfigError: They have several.
    """
    names = list(dict.fromkeys(s.comparison['baseline'] for s in settings))
    if len(names) > 1:
        raise ConfigError(
            f'the comparisons have several baselines, {names}: say which by --baseline'
        )
    return names[0]


def _runs(setting: Setting, method: str) -> int:
    return len(setting.methods.get(method, {}).get('runs', ()))


def _cost(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over settings of what a method takes."""

    def known(cost: Mapping[str, Any], part: str) -> dict[str, float] | None:
        of_part = cost.get(part)
        return of_part and {k: v for k, v in of_part.items() if v is not None}

    return {
        part: mean_cost([known(cost, part) for cost in costs])
        for part in ('generation', 'selection', 'inference')
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
