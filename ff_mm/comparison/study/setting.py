"""A setting of a study: the comparison of one data set, as its folder has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ff_mm.comparison.comparison import FORMAT
from ff_mm.comparison.resamples import RESAMPLES_FILE, Resamples
from ff_mm.comparison.resampling import over_drawn_runs
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.files import sha256
from ff_mm.records import (
    COUNT,
    NAMED,
    NUMBER,
    ORDINAL,
    SHA256,
    TEXT,
    ByName,
    Is,
    Optional,
    Rows,
    Table,
    read_record,
)
from ff_mm_commands.table import called

#: What stands for the metric by which a comparison itself goes.
SELECTED = 'selected'

_COST = Table(
    generation=Optional(Table(epochs=Optional(NUMBER), seconds=Optional(NUMBER))),
    selection=Table(passes=NUMBER, seconds=NUMBER, images=Optional(NUMBER)),
    inference=Table(models=NUMBER),
)
_METHOD = Table(
    title=TEXT, soup=TEXT, runs=Rows(Table(metrics=NAMED)), cost=_COST, models=COUNT
)


_COMPARISON = Table(
    FORMAT,
    metric=TEXT,
    rule=Is("'greater' or 'less'", lambda value: value in ('greater', 'less')),
    rules=Optional(NAMED),
    baseline=TEXT,
    resamples=ORDINAL,
    sets=NAMED,
    methods=ByName(_METHOD),
    resampled=Optional(SHA256),
)
_AGAIN = f'give the command of {called("compare")} again: it makes no pass for that'


@dataclass(frozen=True)
class Difference:
    """How much better a method is than the baseline, on one or several sets.

    Above 0 it is better, whether more or less of the metric is.

    Attributes:
        value: Of all cases, the mean over the runs.
        resampled: In each resample, (resamples,), the mean over drawn runs.
    """

    value: float
    resampled: np.ndarray


@dataclass(frozen=True, eq=False)
class Setting:
    """One data set with all that methods made of its pools.

    Attributes:
        name: What the study calls it.
        folder: Where the comparison lies.
        comparison: Its ``comparison.json``.
        resamples: From which its intervals come.
    """

    name: str
    folder: Path
    comparison: Mapping[str, Any]
    resamples: Resamples

    @property
    def methods(self) -> Mapping[str, Mapping[str, Any]]:
        """All that is said of each method."""
        return self.comparison['methods']

    def sets(self, domain: str) -> list[str]:
        """Names of the sets of a domain, ``'test'`` or ``'ood'``."""
        names = self.comparison['sets']
        return [name for name in names if name.partition('/')[0] == domain]

    def metric(self, name: str) -> str:
        """The name of a metric here: that of selection for :data:`SELECTED`."""
        return self.comparison['metric'] if name == SELECTED else name

    def difference(
        self, method: str, baseline: str, metric: str, domain: str
    ) -> Difference | None:
        """How much better a method is than the baseline; of several sets the mean.

        Args:
            method: The method.
            baseline: Another.
            metric: A metric, or :data:`SELECTED`.
            domain: ``'test'`` or ``'ood'``.

        Returns:
            None where one of them, or the metric, is missing here or has no value.
        """
        name = self.metric(metric)
        rule = (self.comparison.get('rules') or {}).get(name)
        rule = self.comparison['rule'] if metric == SELECTED else rule
        if rule is None or not {method, baseline} <= set(self.methods):
            return None
        sign = 1 if rule == 'greater' else -1
        found = [
            (
                sign * (self._value(method, split, name) - own),
                sign * (self._drawn(method, split, name) - drawn),
            )
            for split in self.sets(domain)
            for own in [self._value(baseline, split, name)]
            for drawn in [self._drawn(baseline, split, name)]
        ]
        if not found or any(np.isnan(value) for value, _ in found):
            return None
        values, resampled = zip(*found, strict=True)
        return Difference(float(np.mean(values)), np.mean(resampled, axis=0))

    def _value(self, method: str, split: str, metric: str) -> float:
        """The mean over runs, NaN where one has no value."""
        runs = self.methods[method]['runs']
        values = [run['metrics'].get(split, {}).get(metric) for run in runs]
        known = [value for value in values if isinstance(value, int | float)]
        return float(np.mean(known)) if len(known) == len(runs) else np.nan

    def _drawn(self, method: str, split: str, metric: str) -> np.ndarray:
        """The mean over drawn runs, (resamples,)."""
        values = self.resamples.values.get((split, method, metric))
        if values is None:
            return np.full(self.comparison['resamples'], np.nan)
        return over_drawn_runs(values, self.resamples.seed)


def read_settings(folders: Sequence[str | Path]) -> list[Setting]:
    """Reads the comparisons of a study.

    Args:
        folders: Work directories of ``tools/compare.py``.

    Raises:
        ConfigError: There is none, or one is given twice.
        FFMMError: A folder that holds none, an older one without resamples, or numbers
            of resamples that differ.
    """
    if not folders:
        raise ConfigError('a study is of one comparison or more, and none is given')
    paths = [Path(folder) for folder in folders]
    settings = [
        _read(path, name) for path, name in zip(paths, _names(paths), strict=True)
    ]
    first = settings[0]
    for other in settings[1:]:
        numbers = [each.comparison['resamples'] for each in (first, other)]
        if numbers[0] != numbers[1]:
            raise ConfigError(
                f'{other.folder} has {numbers[1]} resamples and {first.folder} '
                f'{numbers[0]}, expected as many of all: {_AGAIN}, with '
                f'bootstrap.resamples={max(numbers)}'
            )
    return settings


def _read(folder: Path, name: str) -> Setting:
    path = folder / 'comparison.json'
    try:
        comparison = read_record(path, _COMPARISON, 'a comparison')
    except (FileNotFoundError, NotADirectoryError):
        raise FFMMError(
            f'{folder}: no comparison in it, expected the work directory of a '
            f'{called("compare")} that has ended: there is no comparison.json'
        ) from None
    file = folder / RESAMPLES_FILE
    if comparison.get('resampled') is None or not file.exists():
        raise FFMMError(f'{folder}: its comparison kept no resamples; {_AGAIN}')
    resamples = Resamples.read(file)
    if sha256(file) != comparison['resampled']:
        raise FFMMError(f'{file}: is not of the comparison.json beside it; {_AGAIN}')
    expected = comparison['resamples']
    if any(values.shape[1] != expected for values in resamples.values.values()):
        raise FFMMError(f'{file}: has not {expected} resamples of each; {_AGAIN}')
    return Setting(name, folder, comparison, resamples)


def _names(paths: Sequence[Path]) -> list[str]:
    """The last part of paths in which all differ; ``a`` of ``compare_a``.

    Raises:
        ConfigError: A folder is given twice.
    """
    parts = [path.resolve().parts[::-1] for path in paths]
    for each in _levels(parts):
        names = [name.removeprefix('compare_') for name in each]
        # What all comparisons may be called says nothing of one.
        if len(set(names)) == len(names) and 'compare' not in names:
            return names
    whole = [str(path.resolve()) for path in paths]
    twice = [name for name in whole if whole.count(name) > 1]
    if twice:
        raise ConfigError(f'{twice[0]}: given twice, expected one folder a data set')
    return [str(path) for path in paths]


def _levels(parts: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """The last parts of all paths, then those before, while all have one."""
    yield from zip(*parts, strict=False)
