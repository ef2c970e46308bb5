"""Linear mode connectivity of a pool, as numbers and figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from ff_mm.analysis.connectivity.paths_plot import LinearPath, paths_plot
from ff_mm.analysis.matrix_plot import matrix_plot
from ff_mm.analysis.pairs import Hyper, Pair, ends
from ff_mm.analysis.results import file_stem, numbers, print_table, write_results
from ff_mm.display.numbers import shown
from ff_mm.weight_space.connectivity import (
    Rule,
    barrier,
    barrier_matrix,
    barrier_tree,
    lambdas,
)

_FIGURES = ('mean', 'sd', 'median', 'most')


def barrier_rows(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sums up barriers, a row for each kind of difference.

    Args:
        pairs: Each with ``differ``, the kind, and ``barrier``, the values by metric.
            None and NaN are barriers that are not known; they count as pairs, but not
            for the figures. An infinite one counts.

    Returns:
        Rows for a csv file, the highest mean of the first metric first: ``differ``,
        ``pairs``, and of each metric ``<metric>_known`` (of how many pairs it is
        known), ``<metric>_mean``, ``_sd`` (of a sample; None of fewer than two values
        or if one is infinite), ``_median`` and ``_most``; None where none is known.
    """
    metrics = list(dict.fromkeys(name for pair in pairs for name in pair['barrier']))
    rows = []
    for kind in dict.fromkeys(pair['differ'] for pair in pairs):
        of_kind = [pair['barrier'] for pair in pairs if pair['differ'] == kind]
        row = {'differ': kind, 'pairs': len(of_kind)}
        for metric in metrics:
            known = [b[metric] for b in of_kind if _is_known(b.get(metric))]
            row |= {f'{metric}_{key}': v for key, v in _figures(known).items()}
        rows.append(row)
    return sorted(rows, key=lambda row: _descending(row, metrics))


def barrier_table(
    rows: Sequence[Mapping[str, Any]], title: str, console: Console | None = None
) -> None:
    """Prints the rows, with the mean ± standard deviation, median and most.

    Args:
        rows: As of :func:`barrier_rows`.
        title: Says on which set the barriers are.
        console: Where to print; standard output by default.
    """
    keys = rows[0] if rows else ()
    metrics = [key.removesuffix('_known') for key in keys if key.endswith('_known')]
    columns = ['pairs differ in', 'pairs']
    for metric in metrics:
        columns += [f'{metric}: mean', 'median', 'most']
    cells = [
        [
            row['differ'],
            str(row['pairs']),
            *(c for m in metrics for c in _cells(row, m)),
        ]
        for row in rows
    ]
    print_table(title, columns, cells, console)


def _figures(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {'known': 0, **dict.fromkeys(_FIGURES)}
    spread = len(values) > 1 and all(map(math.isfinite, values))
    return {
        'known': len(values),
        'mean': fmean(values),
        'sd': stdev(values) if spread else None,
        'median': median(values),
        'most': max(values),
    }


def _descending(row: Mapping[str, Any], metrics: Sequence[str]) -> float:
    mean = row[f'{metrics[0]}_mean'] if metrics else None
    return math.inf if mean is None else -mean


def _cells(row: Mapping[str, Any], metric: str) -> list[str]:
    mean, sd, middle, most = (row[f'{metric}_{figure}'] for figure in _FIGURES)
    spread = '' if sd is None else f' ± {shown(sd)}'
    known = row[f'{metric}_known']
    few = '' if known == row['pairs'] else f' (of {known})'
    return [f'{shown(mean)}{spread}{few}', shown(middle), shown(most)]


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


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
    rules: Mapping[str, Rule]
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
        tables = dict(
            paths=self._points(),
            pairs=self._pairs(),
            by_difference=self.by_difference(),
        )
        figures = {}
        for metric, rule in self.rules.items():
            stem, label = (
                file_stem(metric),
                f'{metric.replace("_", " ")} on {self.split}',
            )
            figures[f'paths_{stem}'] = paths_plot(self._lines(metric), label, rule=rule)
            figures[f'barriers_{stem}'] = self._matrix_figure(metric, label)
        return write_results(folder, tables, figures)

    def _points(self) -> Iterator[dict[str, Any]]:
        for path in self.paths:
            steps = lambdas(len(path.metrics)).tolist()
            for share, metrics in zip(steps, path.metrics, strict=True):
                yield {**asdict(path.pair), 'lambda': share, **numbers(metrics)}

    def _pairs(self) -> Iterator[dict[str, Any]]:
        for path, barriers in zip(self.paths, self.barriers, strict=True):
            a, b = path.metrics[-1], path.metrics[0]
            row = asdict(path.pair)
            for metric in self.rules:
                row[f'{metric}_a'], row[f'{metric}_b'] = a[metric], b[metric]
                row[f'{metric}_worst'] = self._worst(path, metric)
                row[f'{metric}_barrier'] = barriers[metric]
            yield row

    def _worst(self, path: MeasuredPath, metric: str) -> float:
        worst = min if self.rules[metric] == 'greater' else max
        return worst(path.values(metric)[1:-1])

    def _lines(self, metric: str) -> list[LinearPath]:
        return [
            LinearPath(
                path.pair.differ,
                *ends(path.pair, self.hypers),
                lambdas(len(path.metrics)).tolist(),
                path.values(metric),
            )
            for path in self.paths
        ]

    def _matrix_figure(self, metric: str, label: str) -> Figure:
        matrix, label = self.matrix(metric), f'barrier of {label}'
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
