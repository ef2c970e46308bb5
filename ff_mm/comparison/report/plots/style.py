"""How methods look in plots: pools by colour and fill, soups by marker."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ff_mm.display.figures import COLOURS, PAPER

_LINES = ('solid', (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_FILLS = ('full', 'open', 'left', 'bottom')
_MARKERS = {
    'best': 'o',
    'uniform': 's',
    'greedy': '^',
    'gou': 'D',
    'gog': 'P',
    'hierarchical': 'X',
    'ensemble': '*',
}
_OTHER_MARKERS = ('v', '<', '>', 'p', 'h')


@dataclass(frozen=True)
class Style:
    """How one method is drawn.

    Attributes:
        colour: Of its pool.
        marker: Of its soup.
        fill: How much of the marker is filled, of its pool: all, nothing or half.
        line: The line style of its intervals, of its pool.
    """

    colour: str
    marker: str
    fill: str
    line: Any

    @property
    def point(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot`` for a point."""
        is_open = self.fill == 'open'
        return dict(
            color=self.colour,
            marker=self.marker,
            # Not fillstyle='none', which would let the intervals through.
            fillstyle='full' if is_open else self.fill,
            markerfacecolor=PAPER if is_open else self.colour,
            markerfacecoloralt=PAPER,
            markersize=6.5 if self.marker == '*' else 4.8,
            markeredgewidth=0.9,
            linestyle='none',
            zorder=3,
        )


def styles(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, Style]:
    """Gives each method its style: markers are of soups, the rest of pools.

    A second method of the same pool and soup, and a soup of one's own, gets another
    marker.
    """
    pools = list(dict.fromkeys(method['pool'] for method in methods.values()))
    chosen: dict[str, Style] = {}
    for name, method in methods.items():
        index = pools.index(method['pool'])
        used = {
            style.marker
            for other, style in chosen.items()
            if methods[other]['pool'] == method['pool']
        }
        chosen[name] = Style(
            COLOURS[index % len(COLOURS)],
            _marker(method['soup'], used),
            _FILLS[index % len(_FILLS)],
            _LINES[index % len(_LINES)],
        )
    return chosen


def _marker(soup: str, used: Collection[str]) -> str:
    usual = [_MARKERS[soup]] if soup in _MARKERS else []
    free = [marker for marker in (*usual, *_OTHER_MARKERS) if marker not in used]
    return free[0] if free else _OTHER_MARKERS[-1]


@dataclass(frozen=True)
class Point:
    """A method in a panel.

    Attributes:
        title: What the method is called.
        style: How it is drawn.
        x: Where.
        y: Where.
        x_interval: Its ends, None where it is not known.
        y_interval: Its ends, None where it is not known.
    """

    title: str
    style: Style
    x: float
    y: float
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None


def ends(result: Mapping[str, Any]) -> tuple[float, float] | None:
    """The ends of an interval of a result."""
    low, high = result.get('low'), result.get('high')
    return None if low is None or high is None else (low, high)


def draw_points(axes: Axes, points: Sequence[Point]) -> None:
    """Draws points with their intervals, and nothing else."""
    for point in points:
        line: dict[str, Any] = dict(
            color=point.style.colour,
            linestyle=point.style.line,
            linewidth=0.7,
            alpha=0.55,
            zorder=1,
            solid_capstyle='butt',
        )
        # Not errorbar: the interval of a percentile bootstrap may leave the value out.
        if point.x_interval:
            axes.plot(point.x_interval, [point.y] * 2, **line)
        if point.y_interval:
            axes.plot([point.x] * 2, point.y_interval, **line)
        axes.plot(point.x, point.y, **point.style.point)


def legend_entry(point: Point, length: int) -> Line2D:
    """What stands for a method in a legend, in lines of so many letters."""
    style = {**point.style.point, 'linestyle': point.style.line}
    title = textwrap.fill(point.title, length)
    return Line2D([], [], linewidth=0.7, label=title, **style)
