"""Names beside points, where they cover least."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import hypot
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from ff_mm.display.figures import RC

_SIZE = RC['legend.fontsize']


class Side(NamedTuple):
    """Where a label is, seen from its point: a direction, and the text's own ends."""

    x: float
    y: float
    ha: str
    va: str


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    sides: Sequence[Side],
    distances: Sequence[float],
    *,
    radius: float,
    avoid: Sequence[Bbox] = (),
    must: bool = True,
    nearest: bool = False,
    **look: Any,
) -> bool:
    """Puts each text where it covers least, greedily, the most crowded points first.

    Args:
        axes: As they will be, and measured by an Agg canvas.
        points: Where, in data coordinates.
        texts: Of each point.
        sides: Where a text may be, the preferred side first.
        distances: How far from the point, in points (1/72 inch), near ones first.
        radius: Of the points' markers, in points.
        avoid: What texts cover only if they have to, in pixels.
        must: Whether no text may cover a point or another text, or leave the frame; if
            one would, all are taken away.
        nearest: Whether a text has to be nearer to its own point than to any other.
        **look: Arguments of ``Axes.annotate``.

    Returns:
        Whether the texts are there.
    """
    markers = [marker_box(axes, point, radius) for point in points]
    labels = [
        axes.annotate(
            text, point, (0, 0), textcoords='offset points', fontsize=_SIZE, **look
        )
        for text, point in zip(texts, points, strict=True)
    ]
    taken: list[Bbox] = []

    def cost(label: Annotation, own: Bbox) -> tuple[int, int]:
        box = label.get_window_extent()
        bad = box.count_overlaps([*markers, *taken]) + _leaves(axes, box)
        if nearest:
            bad += any(_distance(box, own) > _distance(box, m) for m in markers)
        return bad, box.count_overlaps(avoid)

    crowded_first = sorted(range(len(points)), key=lambda i: -_crowd(i, markers))
    for index in crowded_first:
        label, own = labels[index], markers[index]
        places = [(s, d) for d, s in product(distances, sides)]
        costs = [cost(_moved(label, *place), own) for place in places]
        best = min(range(len(costs)), key=costs.__getitem__)
        taken.append(_moved(label, *places[best]).get_window_extent())
        if must and costs[best][0]:
            for each in labels:
                each.remove()
            return False
    for label in labels:
        # Within the frame, and must not move it.
        label.set_in_layout(False)
    return True


def elided(name: str, length: int) -> str:
    """Leaves letters out of the middle of a name that is longer than so many."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f'{name[:head]}…{name[len(name) - (length - 1 - head) :]}'


def marker_box(axes: Axes, point: tuple[float, float], radius: float) -> Bbox:
    """The box of a marker, in pixels."""
    x, y = axes.transData.transform(point)
    half = radius * axes.figure.dpi / 72
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _moved(label: Annotation, side: Side, distance: float) -> Annotation:
    label.set(ha=side.ha, va=side.va)
    label.xyann = (side.x * distance, side.y * distance)
    return label


def _crowd(index: int, markers: Sequence[Bbox]) -> int:
    """How many markers are near one of them."""
    box = markers[index]
    return box.padded(6 * (box.width + 1)).count_overlaps(markers)


def _distance(text: Bbox, marker: Bbox) -> float:
    """From the centre of a marker to the nearest edge of a text, in pixels."""
    x, y = (marker.x0 + marker.x1) / 2, (marker.y0 + marker.y1) / 2
    return hypot(max(text.x0 - x, 0, x - text.x1), max(text.y0 - y, 0, y - text.y1))


def _leaves(axes: Axes, box: Bbox) -> bool:
    """Whether a text leaves the frame."""
    frame = axes.get_window_extent()
    return not (frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1))
