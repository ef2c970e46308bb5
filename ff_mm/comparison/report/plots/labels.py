"""Names beside points where there is room for all, otherwise a legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import hypot

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from ff_mm.comparison.report.plots.style import (
    Point,
    draw_points,
    legend_entry,
)
from ff_mm.display.figures import COLOURS, legend_below

_SIZE = 7
#: Of titles in a legend, in letters: one fits into a column of a page, two fit.
_LINE_LENGTHS = (44, 22)
#: Points (1/72 inch) from a point to its label, near ones first.
_DISTANCES = (4.5, 9, 14)
_SIDES = (
    (1, 0.35, 'left', 'bottom'),
    (1, -0.35, 'left', 'top'),
    (-1, 0.35, 'right', 'bottom'),
    (-1, -0.35, 'right', 'top'),
    (0, 1, 'center', 'bottom'),
    (0, -1, 'center', 'top'),
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
    placed: list[Annotation] = []
    for axes, points in panels.items():
        if not _place(axes, points, placed):
            for label in placed:
                label.remove()
            _legend(figure, panels, columns)
            return
    # Names are within the panels, and must not move them.
    for label in placed:
        label.set_in_layout(False)


def _place(axes: Axes, points: Sequence[Point], placed: list[Annotation]) -> bool:
    """Tries to name all points, greedily; appends to ``placed`` what it made."""
    markers = [_around(axes, point) for point in points]
    names: list[Bbox] = []
    intervals = [box for point in points for box in _interval_boxes(axes, point)]
    # The crowded ones first, they have the least choice.
    order = sorted(range(len(points)), key=lambda i: -_neighbours(markers[i], markers))
    for index in order:
        others = [box for i, box in enumerate(markers) if i != index]
        best = None
        for label in _candidates(axes, points[index]):
            box = label.get_window_extent()
            free = (
                _inside(axes, box)
                and not box.count_overlaps([*others, *names])
                and _is_nearest(box, markers[index], others)
            )
            crossed = box.count_overlaps(intervals)
            if free and (best is None or crossed < best[0]):
                if best is not None:
                    best[1].remove()
                best = (crossed, label, box)
            else:
                label.remove()
        if best is None:
            return False
        placed.append(best[1])
        names.append(best[2])
    return True


def _candidates(axes: Axes, point: Point) -> Iterator[Annotation]:
    for distance in _DISTANCES:
        for x, y, horizontal, vertical in _SIDES:
            yield axes.annotate(
                point.title,
                (point.x, point.y),
                (x * distance, y * distance),
                textcoords='offset points',
                ha=horizontal,
                va=vertical,
                fontsize=_SIZE,
            )


def _around(axes: Axes, point: Point) -> Bbox:
    """The box of a marker, in pixels."""
    x, y = axes.transData.transform((point.x, point.y))
    half = 4 * axes.figure.dpi / 72
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _interval_boxes(axes: Axes, point: Point) -> Iterator[Bbox]:
    ends = []
    if point.x_interval:
        ends.append([(x, point.y) for x in point.x_interval])
    if point.y_interval:
        ends.append([(point.x, y) for y in point.y_interval])
    for pair in ends:
        yield Bbox(axes.transData.transform(pair)).padded(1)


def _neighbours(box: Bbox, boxes: Sequence[Bbox]) -> int:
    return box.padded(6 * (box.width + 1)).count_overlaps(boxes)


def _is_nearest(name: Bbox, own: Bbox, others: Sequence[Bbox]) -> bool:
    """Whether a name is nearer to its own marker than to any other."""
    return all(_distance(name, own) <= _distance(name, other) for other in others)


def _distance(name: Bbox, marker: Bbox) -> float:
    """From the centre of a marker to the nearest edge of a name, in pixels."""
    x, y = (marker.x0 + marker.x1) / 2, (marker.y0 + marker.y1) / 2
    return hypot(max(name.x0 - x, 0, x - name.x1), max(name.y0 - y, 0, y - name.y1))


def _inside(axes: Axes, box: Bbox) -> bool:
    frame = axes.get_window_extent()
    return (
        frame.x0 <= box.x0
        and box.x1 <= frame.x1
        and frame.y0 <= box.y0
        and box.y1 <= frame.y1
    )


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
