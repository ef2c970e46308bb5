"""Linear mode connectivity of a pool, as numbers and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ff_mm.analysis.csv_file import write_csv
from ff_mm.analysis.ingredient_pairs import Hyper, Pair, ends
from ff_mm.analysis.lmc_table import barrier_rows
from ff_mm.analysis.plots.barrier_matrix import matrix_plot
from ff_mm.analysis.plots.paths import LinearPath, paths_plot
from ff_mm.analysis.plots.saving import save_figure
from ff_mm.merging.connectivity import barrier, barrier_matrix, barrier_tree, lambdas


@dataclass(frozen=True)
class MeasuredPath:
    """The straight line between two ingredients.

    Attributes:
        pair: The ingredients, of which A is at lambda = 1.
        metrics: What was found at each lambda, from 0 to 1.
    """

    pair: Pair
    metrics: Sequence[Mapping[str, Any]]

    def values(self, metric: str) -> list[float]:
        """Returns one metric along the path; what was not finite in JSON is NaN."""
        found = [each[metric] for each in self.metrics]
        return [float('nan') if value is None else value for value in found]


@dataclass(frozen=True)
class Connectivity:
    """All paths of a pool that were looked at.

    Attributes:
        hypers: Hyper-parameters of the ingredients by name.
        paths: The paths.
        rules: ``'greater'`` or ``'less'`` by the name of each metric to look at.
        split: The set that they were evaluated on.
        linkage: How groups are joined in the tree beside the matrix.
        thresholds: By metric, where basins are told apart; drawn in the tree.
    """

    hypers: Mapping[str, Hyper]
    paths: Sequence[MeasuredPath]
    rules: Mapping[str, str]
    split: str
    linkage: str = 'complete'
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def barriers(self) -> list[dict[str, float]]:
        """Of each path, the barrier by metric."""
        return [
            {m: barrier(path.values(m), rule) for m, rule in self.rules.items()}
            for path in self.paths
        ]

    def by_difference(self) -> list[dict[str, Any]]:
        """Sums up barriers by what pairs differ in, see :func:`barrier_rows`."""
        return barrier_rows(
            [
                dict(differ=path.pair.differ, barrier=barriers)
                for path, barriers in zip(self.paths, self.barriers, strict=True)
            ]
        )

    def matrix(self, metric: str) -> np.ndarray:
        """Barriers between all ingredients, NaN where there is no path."""
        pairs = [(path.pair.a, path.pair.b) for path in self.paths]
        values = [barriers[metric] for barriers in self.barriers]
        return barrier_matrix(list(self.hypers), pairs, values)

    def write(self, folder: Path) -> list[Path]:
        """Writes numbers and figures.

        Args:
            folder: Where to.

        Returns:
            The files: ``paths.csv`` (a row a point of a path), ``pairs.csv`` (a row a
            pair), ``by_difference.csv`` (a row a kind of difference), and of each
            metric ``paths_<metric>`` and ``barriers_<metric>``, ``.png`` and ``.svg``.
        """
        files = [folder / f'{name}.csv' for name in ('paths', 'pairs', 'by_difference')]
        for file, rows in zip(
            files, (self._points(), self._pairs(), self.by_difference()), strict=True
        ):
            write_csv(file, rows)
        for metric, rule in self.rules.items():
            stem = metric.replace('/', '_')
            label = f'{metric.replace("_", " ")} on {self.split}'
            drawn = {
                f'paths_{stem}': paths_plot(self._lines(metric), label, rule=rule),
                f'barriers_{stem}': self._matrix_figure(metric),
            }
            for name, figure in drawn.items():
                files += save_figure(figure, folder / name)
        return files

    def _points(self) -> Iterator[dict[str, Any]]:
        for path in self.paths:
            steps = lambdas(len(path.metrics)).tolist()
            for share, metrics in zip(steps, path.metrics, strict=True):
                pair = dict(a=path.pair.a, b=path.pair.b, differ=path.pair.differ)
                values = {m: v for m, v in metrics.items() if not isinstance(v, list)}
                yield {**pair, 'lambda': share, **values}

    def _pairs(self) -> Iterator[dict[str, Any]]:
        for path, barriers in zip(self.paths, self.barriers, strict=True):
            a, b = path.metrics[-1], path.metrics[0]
            yield dict(a=path.pair.a, b=path.pair.b, differ=path.pair.differ) | {
                key: value
                for metric in self.rules
                for key, value in (
                    (f'{metric}_a', a[metric]),
                    (f'{metric}_b', b[metric]),
                    (f'{metric}_worst', self._worst(path, metric)),
                    (f'{metric}_barrier', barriers[metric]),
                )
            }

    def _worst(self, path: MeasuredPath, metric: str) -> float:
        worst = min if self.rules[metric] == 'greater' else max
        return worst(path.values(metric)[1:-1])

    def _lines(self, metric: str) -> list[LinearPath]:
        lines = []
        for path in self.paths:
            key, value_a, value_b = ends(path.pair, self.hypers)
            lines.append(
                LinearPath(
                    path.pair.a,
                    path.pair.b,
                    path.pair.differ,
                    key,
                    value_a,
                    value_b,
                    lambdas(len(path.metrics)).tolist(),
                    path.values(metric),
                )
            )
        return lines

    def _matrix_figure(self, metric: str) -> Any:
        matrix = self.matrix(metric)
        label = f'barrier of {metric.replace("_", " ")} on {self.split}'
        names, groups = list(self.hypers), self._learning_rates()
        if np.isnan(matrix).any():  # a sample of the pairs has no tree
            return matrix_plot(names, matrix, label, groups)
        steps = barrier_tree(matrix, self.linkage)
        threshold = self.thresholds.get(metric)
        return matrix_plot(names, matrix, label, groups, steps, threshold=threshold)

    def _learning_rates(self) -> list[str] | None:
        """Of each ingredient, if they are all known."""
        rates = [hyper.get('lr') for hyper in self.hypers.values()]
        known = all(isinstance(rate, int | float) for rate in rates)
        return [f'lr {rate:g}' for rate in rates] if known else None
