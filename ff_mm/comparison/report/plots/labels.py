"""Names beside points where there is room for all, otherwise a legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ff_mm.comparison.report.plots.style import (
    Point,
    draw_points,
    legend_entry,
)
from ff_mm.display.figures import COLOURS, legend_below
from ff_mm.display.labels import Side, place_labels

#: Of titles in a legend, in letters: one fits into a column of a page, two fit.
_LINE_LENGTHS = (44, 22)
#: Points (1/72 inch) from a point to its label, near ones first.
_DISTANCES = (4.5, 9, 14)
_SIDES = (
    Side(1, 0.35, 'left', 'bottom'),
    Side(1, -0.35, 'left', 'top'),
    Side(-1, 0.35, 'right', 'bottom'),
    Side(-1, -0.35, 'right', 'top'),
    Side(0, 1, 'center', 'bottom'),
    Side(0, -1, 'center', 'top'),
)


def draw_named(
    figure: Figure, panels: Mapping[Axes, Sequence[Point]], columns: int
) -> None:
    """Draws the points of all panels and says which is which.

    Each point has its name beside it if no name then covers a point or another name;
    else the figure grows by a legend below.

    Args:
        figure: With constrained layout, and the panels in it.
        panels: The points of each.
        columns: Of the legend, if there is one.
    """
    for axes, points in panels.items():
        draw_points(axes, points)
        axes.margins(0.08)
    # An Agg canvas measures text; the limits and the layout are those of print.
    FigureCanvasAgg(figure).draw()
    for axes, points in panels.items():
        if not _place(axes, points):
            for named in panels:
                for label in list(named.texts):
                    label.remove()
            _legend(figure, panels, columns)
            return


def _place(axes: Axes, points: Sequence[Point]) -> bool:
    """Tries to name all points."""
    return place_labels(
        axes,
        [(point.x, point.y) for point in points],
        [point.title for point in points],
        _SIDES,
        _DISTANCES,
        radius=4,
        avoid=[box for point in points for box in _interval_boxes(axes, point)],
        nearest=True,
    )


def _interval_boxes(axes: Axes, point: Point) -> Iterator[Bbox]:
    ends = []
    if point.x_interval:
        ends.append([(x, point.y) for x in point.x_interval])
    if point.y_interval:
        ends.append([(point.x, y) for y in point.y_interval])
    for pair in ends:
        yield Bbox(axes.transData.transform(pair)).padded(1)


def _legend(
    figure: Figure, panels: Mapping[Axes, Sequence[Point]], columns: int
) -> None:
    """A legend below, of as many columns as fit."""
    # A method may be absent from some panels.
    named = {(p.title, p.style): p for points in panels.values() for p in points}
    by_pool = sorted(named.values(), key=lambda p: COLOURS.index(p.style.colour))
    attempts = (
        dict(
            handles=[legend_entry(point, length) for point in by_pool],
            ncols=number,
            handlelength=2.4,
        )
        for number, length in product(range(columns, 0, -1), _LINE_LENGTHS)
    )
    legend_below(figure, attempts)
