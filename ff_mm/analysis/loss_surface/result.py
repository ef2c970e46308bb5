"""A loss surface, as numbers and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from ff_mm.analysis.loss_surface.minima import (
    DEEP,
    Minimum,
    count_deeper,
    minima,
    roughness,
)
from ff_mm.analysis.loss_surface.surface_plot import Mark, line_plot, surface_plot
from ff_mm.analysis.results import file_stem, numbers, print_table, write_results
from ff_mm.display.numbers import shown


@dataclass(frozen=True)
class LossSurface:
    """Metrics on a grid in weight space, or along a line.

    Attributes:
        xs: Of the columns.
        ys: Of the rows; None: a line.
        metrics: What was found at each point, row by row.
        rules: ``'greater'`` or ``'less'`` by the name of each metric to look at.
        split: The set on which it was evaluated.
        marks: Models and soups, and where they are.
        mark_metrics: What was found at each of these.
        axes: What the two axes are.
        kind: What it is, for the names of files.
    """

    xs: np.ndarray
    ys: np.ndarray | None
    metrics: Sequence[Mapping[str, Any]]
    rules: Mapping[str, str]
    split: str
    marks: Sequence[Mark] = ()
    mark_metrics: Sequence[Mapping[str, Any]] = ()
    axes: str = 'distance in weight space'
    kind: str = 'plane'

    def values(self, metric: str) -> np.ndarray:
        """Returns a metric as (rows, columns), or (points,) of a line."""
        found = [each[metric] for each in self.metrics]
        values = np.array([np.nan if v is None else v for v in found], np.float64)
        return values if self.ys is None else values.reshape(len(self.ys), len(self.xs))

    def minima(self, metric: str) -> list[Minimum]:
        """Returns the local minima; of a metric where more is better, of its negative.

        The deepest come first, see :func:`ff_mm.analysis.loss_surface.minima.minima`.
        """
        return minima(self._downwards(metric))

    def summary(self) -> list[dict[str, Any]]:
        """Returns a row a metric: range, minima and roughness."""
        rows = []
        for metric in self.rules:
            values, found = self.values(metric), self.minima(metric)
            finite = values[np.isfinite(values)]
            rows.append(
                dict(
                    metric=metric,
                    split=self.split,
                    points=values.size,
                    least=float(finite.min()) if finite.size else None,
                    most=float(finite.max()) if finite.size else None,
                    minima=len(found),
                    deep_minima=count_deeper(found, DEEP),
                    deepest_other=found[1].depth if len(found) > 1 else 0.0,
                    roughness=roughness(self._downwards(metric)),
                )
            )
        return rows

    def print_summary(self, console: Console | None = None) -> None:
        """Prints the summary as a table."""
        columns = {
            'metric': 'metric',
            'least': 'least',
            'most': 'most',
            'minima': 'local minima',
            'deep_minima': f'deeper than {DEEP:.0%} of the range',
            'roughness': 'roughness',
        }
        rows = [
            [row['metric'], *(shown(row[key]) for key in columns if key != 'metric')]
            for row in self.summary()
        ]
        print_table(f'surface on {self.split}', [*columns.values()], rows, console)

    def write(self, folder: Path) -> list[Path]:
        """Writes numbers and figures.

        Args:
            folder: Where to.

        Returns:
            The files, which all begin with the kind: ``_grid.csv`` (a row a point),
            ``_marks.csv`` (a row a model or soup), ``_minima.csv``, ``_summary.csv``,
            and of each metric ``_<metric>.png`` and ``.svg``.
        """
        tables = {
            f'{self.kind}_grid': self._grid_rows(),
            f'{self.kind}_marks': self._mark_rows(),
            f'{self.kind}_minima': self._minima_rows(),
            f'{self.kind}_summary': self.summary(),
        }
        figures = {
            f'{self.kind}_{file_stem(metric)}': self._figure(metric, rule)
            for metric, rule in self.rules.items()
        }
        return write_results(folder, tables, figures)

    def _figure(self, metric: str, rule: str) -> Figure:
        label = f'{metric.replace("_", " ")} on {self.split}'
        if self.ys is None:
            return line_plot(self.xs, self.values(metric), label, rule, self.axes)
        return surface_plot(
            self.xs,
            self.ys,
            self.values(metric),
            self.marks,
            label,
            rule,
            distance=self.axes,
        )

    def _downwards(self, metric: str) -> np.ndarray:
        values = self.values(metric)
        return -values if self.rules[metric] == 'greater' else values

    def _grid_rows(self) -> Iterator[dict[str, Any]]:
        ys = [None] if self.ys is None else self.ys.tolist()
        points = [(x, y) for y in ys for x in self.xs.tolist()]
        for (x, y), metrics in zip(points, self.metrics, strict=True):
            yield (dict(x=x) if y is None else dict(x=x, y=y)) | numbers(metrics)

    def _mark_rows(self) -> Iterator[dict[str, Any]]:
        for mark, metrics in zip(self.marks, self.mark_metrics, strict=True):
            place = dict(x=mark.x, y=mark.y, off_plane=mark.off_plane)
            yield dict(name=mark.name, kind=mark.kind) | place | numbers(metrics)

    def _minima_rows(self) -> Iterator[dict[str, Any]]:
        for metric, rule in self.rules.items():
            sign = -1 if rule == 'greater' else 1
            for found in self.minima(metric):
                row = dict(metric=metric, x=float(self.xs[found.column]))
                if self.ys is not None:
                    row['y'] = float(self.ys[found.row])
                yield row | dict(value=sign * found.value, depth=found.depth)
