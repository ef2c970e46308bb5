"""Ingredients two by two: how far apart in weight space, how different in predictions.

Kinds of pairs are those of :mod:`ff_mm.analysis.pairs`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from scipy.stats import spearmanr

from ff_mm.analysis.matrix_plot import matrix_plot
from ff_mm.analysis.pairs import Hyper, Pair, all_pairs
from ff_mm.analysis.results import print_table, write_results
from ff_mm.analysis.trajectory.diversity import Diversity
from ff_mm.analysis.trajectory.diversity_plot import diversity_plot
from ff_mm.display.numbers import shown
from ff_mm.display.titles import hyper_titles
from ff_mm.fission.manifest import INGREDIENTS_DIR
from ff_mm.weight_space.geometry import Geometry

_FIGURES = ('distance', 'cosine', 'disagreement', 'normalised')
# What colours of points leave out: within a run or between two, as others stand.
_WITHIN = (' + cycle', ' + stage')


@dataclass(frozen=True)
class PairRelations:
    """All pairs of a pool.

    Attributes:
        hypers: Hyper-parameters of the ingredients by name; two or more.
        geometry: Where they lie, in this order.
        diversity: What they predict, in this order.
        split: The set that they predicted.
        directions: What the cosines are of, such as ``'displacements from the probe'``.
    """

    hypers: Mapping[str, Hyper]
    geometry: Geometry
    diversity: Diversity
    split: str
    directions: str

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs, in the order of the pool."""
        return all_pairs(self.hypers)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Of each pair ``a``, ``b``, ``differ``, and the figures; NaN is None."""
        place = {name: number for number, name in enumerate(self.hypers)}
        matrices = dict(
            distance=self.geometry.distances,
            cosine=self.geometry.cosines,
            disagreement=self.diversity.disagreement,
            normalised=self.diversity.normalised,
        )
        return [
            asdict(pair)
            | {
                key: _known(matrix[place[pair.a], place[pair.b]])
                for key, matrix in matrices.items()
            }
            for pair in self.pairs
        ]

    @property
    def correlation(self) -> float | None:
        """Spearman's rank correlation of disagreement with distance, over all pairs.

        No p-value belongs to it: pairs share models, so they are not independent. None
        of fewer than three pairs, or if one of the two is the same everywhere.
        """
        return _rank_correlation(self.rows)

    def by_difference(self) -> list[dict[str, Any]]:
        """Sums up by what pairs differ in.

        Returns:
            A row a kind, the closest first, then one of all pairs: ``differ``,
            ``pairs``, the means of ``distance``, ``cosine``, ``disagreement`` and
            ``normalised`` over pairs of which they are known, and ``spearman``, see
            :attr:`correlation`.
        """
        found = [
            _summary(kind, [row for row in self.rows if row['differ'] == kind])
            for kind in dict.fromkeys(row['differ'] for row in self.rows)
        ]
        found.sort(key=lambda row: row['distance'])
        return found if len(found) < 2 else [*found, _summary('all', self.rows)]

    def write(self, folder: Path) -> list[Path]:
        """Writes numbers and figures.

        Args:
            folder: Where to.

        Returns:
            The files: ``<split>/pairs.csv`` (a row a pair),
            ``<split>/by_difference.csv`` (a row a kind of difference), and
            ``distance``, ``cosine`` and ``<split>/diversity``, ``.png`` and ``.svg``.
        """
        distances, cosines = self.geometry.distances, self.geometry.cosines
        cosine = f'cosine similarity of {self.directions}'
        tables = {
            f'{self.split}/pairs': self.rows,
            f'{self.split}/by_difference': self.by_difference(),
        }
        figures = {
            'distance': self._matrix(distances, 'distance in weight space'),
            'cosine': self._matrix(cosines, cosine),
            f'{self.split}/diversity': self._scatter(),
        }
        return write_results(folder, tables, figures)

    def _matrix(self, matrix: np.ndarray, label: str) -> Figure:
        titles = hyper_titles(list(self.hypers.values()))
        # Groups of one would say no more than the names.
        groups = titles if 1 < len(set(titles)) < len(titles) else None
        names = _without_folder(list(self.hypers))
        return matrix_plot(names, matrix, label, groups, limits=_limits(matrix))

    def _scatter(self) -> Figure:
        rows = [row for row in self.rows if row['disagreement'] is not None]
        correlation = self.correlation
        title = f'{len(rows)} pair{"s" * (len(rows) != 1)}'
        if correlation is not None:
            title += f', Spearman correlation {correlation:.2f}'
        return diversity_plot(
            [row['distance'] for row in rows],
            [row['disagreement'] for row in rows],
            [_coarse(row['differ']) for row in rows],
            title,
            f'share of {self.split} predicted differently',
        )


def relations_table(
    rows: Sequence[Mapping[str, Any]], split: str, console: Console | None = None
) -> None:
    """Prints the rows.

    Args:
        rows: As of :meth:`PairRelations.by_difference`.
        split: The set that was predicted.
        console: Where to print; standard output by default.
    """
    names = (*_FIGURES, 'spearman')
    print_table(
        f'pairs of ingredients: means, predictions on {split}',
        ['pairs differ in', 'pairs', *names],
        [
            [row['differ'], str(row['pairs']), *(shown(row[name]) for name in names)]
            for row in rows
        ],
        console,
    )


def _without_folder(names: list[str]) -> list[str]:
    """Leaves out the folder that all generations have their ingredients in."""
    short = [name.replace(f'{INGREDIENTS_DIR}/', '') for name in names]
    return short if len(set(short)) == len(set(names)) else names


def _limits(matrix: np.ndarray) -> tuple[float, float] | None:
    """All values off the diagonal: none of them is beyond measure, as losses are."""
    values = matrix[~np.eye(len(matrix), dtype=bool) & np.isfinite(matrix)]
    if not values.size or values.min() == values.max():
        return None
    return float(values.min()), float(values.max())


def _summary(kind: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {}
    for name in _FIGURES:
        known = [row[name] for row in rows if row[name] is not None]
        means[name] = fmean(known) if known else None
    return dict(differ=kind, pairs=len(rows), **means, spearman=_rank_correlation(rows))


def _rank_correlation(rows: Sequence[Mapping[str, Any]]) -> float | None:
    known = [row for row in rows if row['disagreement'] is not None]
    x, y = ([row[name] for row in known] for name in ('distance', 'disagreement'))
    if len(known) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(spearmanr(x, y).statistic)


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _coarse(kind: str) -> str:
    for suffix in _WITHIN:
        kind = kind.removesuffix(suffix)
    return kind
