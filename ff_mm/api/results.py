"""What the functions return: numbers as rows, a plot, and the report as text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from ff_mm.api.plots import interval_plot
from ff_mm.comparison.report.markdown import comparison_table
from ff_mm.comparison.report.wording import main_set, metric_title, set_title
from ff_mm.files import read_json
from ff_mm.fission.pool_plot import pool_plot, pool_rows

Rows = list[dict[str, Any]]

_WIDTH = 100


@dataclass(frozen=True)
class Pool:
    """Models that a plan has trained.

    Attributes:
        folder: Its work directory.
        config: Of the plan, as it was given.
        options: Of the config.
    """

    folder: Path
    config: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """``ingredients.json``, which every fusion takes."""
        return self.folder / 'ingredients.json'

    @property
    def manifest(self) -> dict[str, Any]:
        """What ``ingredients.json`` says."""
        return dict(read_json(self.file))

    @property
    def table(self) -> Rows:
        """A row a model, for ``pandas.DataFrame``: name, file, settings, metrics."""
        return pool_rows(self.manifest, self.folder)

    @property
    def report(self) -> str:
        """A few lines: how many models, at what cost, what is missing."""
        manifest = self.manifest
        cost = manifest['cost']
        lines = [
            f'{len(manifest["ingredients"])} models in {self.file}, '
            f'{cost["epochs"]} epochs, {cost["seconds"]:.0f} s'
        ]
        lines += [
            f'{failed["id"]} is missing: {failed["reason"]}'
            for failed in manifest['failed']
        ]
        return '\n'.join(lines)

    def plot(self, metric: str | None = None) -> Figure:
        """Draws a metric of all models by learning rate.

        Args:
            metric: On validation; the first there is by default.

        Raises:
            ConfigError: No model has that metric, or there is no model.
        """
        return pool_plot(self.table, metric, metric_title)


@dataclass(frozen=True)
class Compared:
    """Methods on validation, test and out-of-distribution sets, with intervals.

    Attributes:
        folder: The work directory, with ``comparison.html`` and all else.
        found: The content of ``comparison.json``.
    """

    folder: Path
    found: Mapping[str, Any]

    @property
    def file(self) -> Path | None:
        """The model that is recommended; None: every method is an ensemble."""
        recommended = self.found['recommendation']
        return Path(recommended['file']) if recommended else None

    @property
    def table(self) -> Rows:
        """A row for each method, set and metric, for ``pandas.DataFrame``."""
        return [
            dict(
                method=method['title'],
                set=set_name,
                metric=metric,
                value=values['value'],
                low=values['low'],
                high=values['high'],
                p=(values.get('difference') or {}).get('p'),
            )
            for method in self.found['methods'].values()
            for set_name, results in method['results'].items()
            for metric, values in results.items()
        ]

    @property
    def report(self) -> str:
        """The main table and the recommendation, as a terminal shows them."""
        return _printed(lambda console: comparison_table(self.found, console))

    def plot(self) -> Figure:
        """Draws the metric of all methods on test, with intervals."""
        name, metric = main_set(self.found), self.found['metric']
        values = {
            method['title']: method['results'][name][metric]
            for method in self.found['methods'].values()
            if method['results'].get(name, {}).get(metric)
        }
        return interval_plot(values, f'{metric_title(metric)}, {set_title(name)}')


@dataclass(frozen=True)
class Fused:
    """The one model to deploy.

    Attributes:
        folder: The work directory, with the report and ``deploy.py``.
        found: The content of ``report.json``.
        file: The weights.
    """

    folder: Path
    found: Mapping[str, Any]
    file: Path

    @property
    def table(self) -> Rows:
        """A row for each fusion and set, for ``pandas.DataFrame``."""
        return [
            dict(
                fusion=self._title(name),
                set=set_name,
                metric=self.found['metric'],
                value=values['value'],
                low=values['low'],
                high=values['high'],
                p=(values.get('difference') or {}).get('p'),
            )
            for set_name, of_set in self.found['sets'].items()
            for name, values in of_set['results'].items()
        ]

    @property
    def report(self) -> str:
        """What was done, and what to expect: ``report.md``."""
        return (self.folder / 'report.md').read_text(encoding='utf-8')

    def plot(self) -> Figure:
        """Draws the metric of all fusions on test, or on validation, with intervals."""
        name = main_set(self.found)
        metric = self.found['metric']
        values = {
            self._title(fusion): result
            for fusion, result in self.found['sets'][name]['results'].items()
        }
        return interval_plot(values, f'{metric_title(metric)}, {set_title(name)}')

    def _title(self, name: str) -> str:
        fusion = self.found['fusions'].get(name)
        return fusion['title'] if fusion else _OF_FUSE.get(name, name)


_OF_FUSE = dict(
    expected='what is expected',
    ensemble='ensemble of all',
    plain='best single, as trained',
)


def _printed(show: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=_WIDTH)
    show(console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]
