"""Loss surfaces: contours over a plane through models (Garipov et al. 2018), lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ff_mm.analysis.loss_surface.minima import DEEP, minima
from ff_mm.analysis.value_range import ValueRange, value_range
from ff_mm.display.figures import (
    COLOUR_MAP,
    COLOURS,
    COLUMN,
    FAINT,
    INK,
    PAGE,
    PAPER,
    RC,
    legend_below,
)
from ff_mm.display.labels import Side, marker_box, place_labels

_DISTANCE = 'distance in weight space'
_WIDTH = 0.72 * PAGE
_LEVELS = 18
#: Height by width of a plane that is drawn to scale, and of axes of others.
_FLATTEST, _TALLEST, _NOT_TO_SCALE = 0.35, 2.0, 0.6
#: As many times the median distance from the best value is still shown.
_SPREAD = 5
#: Of names in the legend, in letters: two columns fit; of the colour bar's label.
_LINE_LENGTH, _LABEL_LENGTH = 38, 24
_MARKERS = {'model': 'o', 'soup': 'D'}
_COLOURS = {'model': COLOURS[1], 'soup': COLOURS[3]}
_SIZE = 7
#: Points (1/72 inch) from a point to its label, near ones first.
_DISTANCES = (5, 9, 14, 20)
_SIDES = (
    Side(1, 0, 'left', 'center'),
    Side(-1, 0, 'right', 'center'),
    Side(0, 1, 'center', 'bottom'),
    Side(0, -1, 'center', 'top'),
    Side(0.7, 0.7, 'left', 'bottom'),
    Side(0.7, -0.7, 'left', 'top'),
    Side(-0.7, 0.7, 'right', 'bottom'),
    Side(-0.7, -0.7, 'right', 'top'),
)
_CROSS: dict[str, Any] = dict(
    color=PAPER, marker='x', markersize=3.4, markeredgewidth=0.9, linestyle='none'
)
_BOX = dict(facecolor=PAPER, alpha=0.75, edgecolor='none', pad=0.8)


@dataclass(frozen=True)
class Mark:
    """A point of the plane that has a name.

    Attributes:
        name: What it is called.
        x: Where, in the units of the grid.
        y: The same.
        kind: ``'model'`` or ``'soup'``.
        off_plane: How far it lies from the plane, in the same units; 0: in the plane.
            What is off it is drawn at the foot of its perpendicular.
    """

    name: str
    x: float
    y: float
    kind: str = 'model'
    off_plane: float = 0.0


def surface_plot(
    grid_x: ArrayLike,
    grid_y: ArrayLike,
    values: ArrayLike,
    marks: Sequence[Mark],
    label: str,
    rule: str,
    *,
    distance: str = _DISTANCE,
) -> Figure:
    """Draws a surface as filled contours, with models, soups and local minima.

    Minima (of a metric of which more is better: maxima) have a cross if they are deeper
    than :data:`ff_mm.analysis.loss_surface.minima.DEEP` of the range.

    Better values are darker, whatever the rule. Values far worse than most, as of a
    loss that explodes at the margin, are beyond the colour bar, which then ends in an
    arrow. What is infinite is drawn as beyond, what is NaN grey.

    Args:
        grid_x: [columns], rising; distances in weight space.
        grid_y: [rows], rising.
        values: [rows, columns].
        marks: Models and soups.
        label: What the values are.
        rule: ``'less'`` or ``'greater'`` values are better.
        distance: What the axes say. Of a plane that to scale would be a strip, the x
            axis says also that axes are not to scale.

    Returns:
        The figure; names are in a legend if there is no room beside the points.

    Raises:
        ValueError: If the grid is not of the shape of the values, or of fewer than two
            rows or columns.
    """
    x, y = (np.asarray(grid, np.float64) for grid in (grid_x, grid_y))
    surface = np.asarray(values, np.float64)
    if surface.shape != (len(y), len(x)) or min(surface.shape) < 2:
        raise ValueError(f'a grid of {len(y)} x {len(x)}, values {surface.shape}')
    shown = value_range(surface, rule, _SPREAD)
    with rc_context(RC):
        figure = Figure(figsize=(_WIDTH, _WIDTH), layout='constrained')
        axes = figure.subplots()
        _draw(figure, axes, (x, y), surface, shown, rule, label)
        for mark in marks:
            axes.plot(mark.x, mark.y, **_look(mark))
        deep = _draw_minima(axes, (x, y), surface, rule)
        axes.set(xlim=x[[0, -1]], ylim=y[[0, -1]])
        to_scale = _FLATTEST <= axes.get_data_ratio() <= _TALLEST
        note = '' if to_scale else '; axes not to scale'
        axes.set(xlabel=f'{distance}{note}', ylabel=distance)
        _set_height(figure, axes, axes.get_data_ratio() if to_scale else _NOT_TO_SCALE)
        _name(figure, axes, marks, deep, _entries(surface, rule, deep))
        if to_scale:
            axes.set_aspect('equal')
    return figure


def line_plot(
    xs: ArrayLike,
    values: ArrayLike,
    label: str,
    rule: str = 'less',
    distance: str = _DISTANCE,
) -> Figure:
    """Draws a metric along one direction; the model is at 0.

    Args:
        xs: [points], rising.
        values: [points]; NaN is a gap. Values far worse than most are cut off, as in
            :func:`surface_plot`.
        label: What the values are.
        rule: ``'less'`` or ``'greater'`` values are better.
        distance: What the x axis says.

    Returns:
        The figure, a column wide.
    """
    x, y = np.asarray(xs, np.float64), np.asarray(values, np.float64)
    shown = value_range(y, rule, _SPREAD)
    with rc_context(RC):
        figure = Figure(figsize=(COLUMN, 2.3), layout='constrained')
        axes = figure.subplots()
        axes.plot(x, y, color=COLOURS[0], linewidth=1.1, marker='.', markersize=3.5)
        if x[0] <= 0 <= x[-1]:
            axes.axvline(0, color=FAINT, linewidth=0.7, zorder=0)
        axes.set(xlabel=distance, ylabel=label)
        axes.set_ylim(shown.with_room(0.05))
        if shown.extend != 'neither':
            axes.set_title('worse values are beyond the axis')
    return figure


def _draw(
    figure: Figure,
    axes: Axes,
    grid: tuple[NDArray[np.float64], NDArray[np.float64]],
    surface: NDArray[np.float64],
    shown: ValueRange,
    rule: str,
    label: str,
) -> None:
    levels = np.linspace(shown.low, shown.high, _LEVELS + 1)
    # Contours end at what is not finite, and can tell no height above double range.
    span = shown.high - shown.low
    within = np.clip(surface, shown.low - span, shown.high + span)
    colours = colormaps[COLOUR_MAP if rule == 'less' else f'{COLOUR_MAP}_r']
    axes.set_facecolor(FAINT)
    filled = axes.contourf(*grid, within, levels, cmap=colours, extend=shown.extend)
    thin = axes.contour(*grid, within, levels, colors=PAPER, linewidths=0.25, alpha=0.6)
    for drawn in (filled, thin):
        drawn.set_rasterized(True)
    # A longer line would leave a flat figure.
    label = textwrap.fill(label, _LABEL_LENGTH)
    bar = figure.colorbar(filled, ax=axes, label=label, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)
    ticks = MaxNLocator(6).tick_values(shown.low, shown.high)
    bar.set_ticks([t for t in ticks if shown.low <= t <= shown.high])
    if shown.extend != 'neither':
        bar.ax.set_title('beyond', fontsize=_SIZE)


def _look(mark: Mark) -> dict[str, Any]:
    colour = _COLOURS[mark.kind]
    return dict(
        marker=_MARKERS[mark.kind],
        # What is off the plane is open.
        markerfacecolor=PAPER if mark.off_plane else colour,
        markeredgecolor=colour if mark.off_plane else INK,
        markeredgewidth=1.4 if mark.off_plane else 0.7,
        markersize=5.2 if mark.kind == 'model' else 4.8,
        linestyle='none',
        zorder=4,
    )


def _draw_minima(
    axes: Axes,
    grid: tuple[NDArray[np.float64], NDArray[np.float64]],
    surface: NDArray[np.float64],
    rule: str,
) -> list[tuple[float, float]]:
    """Marks the local minima (of a metric of which more is better, maxima)."""
    found = minima(surface if rule == 'less' else -surface)
    deep = [m for m in found if m.depth > DEEP * found[0].depth]
    places = [(float(grid[0][m.column]), float(grid[1][m.row])) for m in deep]
    edge = {**_CROSS, 'color': INK, 'markeredgewidth': 1.7, 'markersize': 4.2}
    for place in places:
        for look in (edge, _CROSS):
            axes.plot(*place, **look, clip_on=False, zorder=3)
    return places


def _entries(
    surface: NDArray[np.float64], rule: str, deep: Sequence[object]
) -> list[Line2D | Patch]:
    """What stands in the legend besides models and soups."""
    entries: list[Line2D | Patch] = []
    if deep:
        what = 'local minimum' if rule == 'less' else 'local maximum'
        entries.append(Line2D([], [], label=what, **{**_CROSS, 'color': INK}))
    if np.isnan(surface).any():
        entries.append(Patch(color=FAINT, label='no number'))
    return entries


def _set_height(figure: Figure, axes: Axes, ratio: float) -> None:
    """Makes the figure as high as axes of this height by width need."""
    for _ in range(2):
        # An Agg canvas measures text; the layout is that of print.
        FigureCanvasAgg(figure).draw()
        box = axes.get_window_extent()
        needed = box.width * ratio
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + (needed - box.height) / figure.dpi)


def _name(
    figure: Figure,
    axes: Axes,
    marks: Sequence[Mark],
    deep: Sequence[tuple[float, float]],
    entries: Sequence[Line2D | Patch],
) -> None:
    """Writes names beside the points, or numbers where there is no room for names.

    With numbers the legend has the names; what is off the plane, and by how much, it
    says anyway.
    """
    FigureCanvasAgg(figure).draw()
    named = not any(mark.off_plane for mark in marks) and _place(
        axes, marks, [mark.name for mark in marks], deep, must=True
    )
    listed = []
    if not named:
        _place(axes, marks, [str(i + 1) for i in range(len(marks))], deep, must=False)
        listed = [
            Line2D([], [], label=_described(i + 1, mark), **_look(mark))
            for i, mark in enumerate(marks)
        ]
    elif any(mark.kind == 'soup' for mark in marks):
        listed = [
            Line2D([], [], label=kind, **_look(Mark(kind, 0, 0, kind)))
            for kind in dict.fromkeys(mark.kind for mark in marks)
        ]
    if listed or entries:
        off = any(mark.off_plane for mark in marks)
        title = 'off: distance from the plane' if off else None
        _legend(figure, [*listed, *entries], title)


def _described(number: int, mark: Mark) -> str:
    off = f', off {mark.off_plane:.3g}' if mark.off_plane else ''
    return f'{number}  {textwrap.fill(f"{mark.name}{off}", _LINE_LENGTH)}'


def _legend(
    figure: Figure, entries: Sequence[Line2D | Patch], title: str | None
) -> None:
    """A legend below, of as many columns as fit."""
    shared = dict(handles=entries, title=title, title_fontsize=_SIZE, handletextpad=0.3)
    legend_below(figure, [dict(shared, ncols=columns) for columns in (3, 2, 1)])


def _place(
    axes: Axes,
    marks: Sequence[Mark],
    texts: Sequence[str],
    deep: Sequence[tuple[float, float]],
    must: bool,
) -> bool:
    """Puts a text beside each mark, over minima only if it has to."""
    return place_labels(
        axes,
        [(mark.x, mark.y) for mark in marks],
        texts,
        _SIDES,
        _DISTANCES,
        radius=3,
        avoid=[marker_box(axes, place, 3) for place in deep],
        must=must,
        bbox=_BOX,
        zorder=5,
    )
