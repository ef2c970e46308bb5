"""Disagreement of predictions against distance in weight space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike

from ff_mm.display.figures import COLUMN, INK, RC

#: Of Okabe and Ito, and a marker for each turn through them.
_COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', INK)
_MARKERS = ('o', '^', 's', 'D')
_HEIGHT, _LEGEND_LINE = 2.7, 0.16
#: More points than this are drawn smaller, and pale.
_MANY = 150
#: Distances that differ by more than this factor are drawn on a logarithmic axis.
_DECADE = 15


def diversity_plot(
    distances: ArrayLike,
    disagreement: ArrayLike,
    differ: Sequence[str],
    title: str = '',
    label: str = 'predicted differently',
) -> Figure:
    """Draws a point for each pair of models.

    Args:
        distances: Of the pairs, in weight space.
        disagreement: Share of the cases that the two predict differently; a pair of
            which it is not finite is left out.
        differ: What the two of each pair differ in; it colours the point.
        title: Above the axes, such as the rank correlation.
        label: Of the y axis.

    Returns:
        The figure, a column wide.
    """
    x, y = np.asarray(distances, float), np.asarray(disagreement, float)
    kinds = _by_distance(x, differ)
    lines = -(-len(kinds) // 2)
    with rc_context(RC):
        size = (COLUMN, _HEIGHT + _LEGEND_LINE * lines)
        figure = Figure(figsize=size, layout='constrained')
        axes = figure.subplots()
        for number, kind in enumerate(kinds):
            of_kind = np.array([each == kind for each in differ])
            _points(axes, x[of_kind], y[of_kind], number, len(x) > _MANY, kind)
        _scale(axes, x[np.isfinite(y)])
        axes.set_xlabel('distance in weight space')
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        figure.legend(
            loc='outside lower center',
            ncols=min(2, len(kinds)),
            frameon=False,
            handletextpad=0.2,
            columnspacing=1.2,
        )
    return figure


def _by_distance(x: np.ndarray, differ: Sequence[str]) -> list[str]:
    """The kinds of difference, that of the closest pairs first."""
    middle = {
        kind: np.median(x[[each == kind for each in differ]])
        for kind in dict.fromkeys(differ)
    }
    return sorted(middle, key=middle.__getitem__)


def _points(
    axes: Axes, x: np.ndarray, y: np.ndarray, number: int, many: bool, kind: str
) -> None:
    axes.scatter(
        x,
        y,
        s=9 if many else 18,
        color=_COLOURS[number % len(_COLOURS)],
        marker=_MARKERS[number // len(_COLOURS) % len(_MARKERS)],
        alpha=0.6 if many else 0.85,
        linewidths=0,
        label=f'{kind} ({len(x)})',
    )


def _scale(axes: Axes, x: np.ndarray) -> None:
    above = x[x > 0]
    # On a logarithmic axis copies, at distance 0, would not be there.
    if len(above) and len(above) == len(x) and above.max() > _DECADE * above.min():
        axes.set_xscale('log')
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(left=0)
