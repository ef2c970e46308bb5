"""Results against the cost of training, and against those out of distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from ff_mm.comparison.report.plots.labels import draw_named
from ff_mm.comparison.report.plots.style import Point, ends, styles
from ff_mm.comparison.report.wording import (
    count,
    main_set,
    metric_title,
    result_of,
    set_title,
)
from ff_mm.display.figures import COLUMN, PAGE, RC

#: Of the distance from the least to the highest cost: between methods of one cost, and
#: between two ticks.
_STEP, _TICK_GAP = 0.055, 0.12
#: In decades: that distance where there is but one cost, and the room at both ends.
_LEAST_SPAN, _ROOM = 0.3, 0.1


def cost_plot(comparison: Mapping[str, Any]) -> Figure | None:
    """Draws the metric on test against training epochs, on a logarithmic axis.

    Methods of one pool cost the same; they stand side by side around it.

    Args:
        comparison: As in ``comparison.json``.

    Returns:
        The figure, a column wide; None where fewer than two costs are known, of which
        there is nothing to see.
    """
    points = _points(comparison, main_set(comparison), _epochs)
    costs = sorted({point.x for point in points})
    if len(costs) < 2:
        return None
    metric = metric_title(comparison['metric'])
    with rc_context(RC):
        figure = Figure(figsize=(COLUMN, 2.9), layout='constrained')
        axes = figure.subplots()
        axes.set_xscale('log')
        axes.set_xlabel('epochs of training for the pool')
        axes.set_ylabel(f'{metric}, {set_title(main_set(comparison))}')
        _set_ticks(axes, costs)
        placed = _side_by_side(points)
        # Else methods of a single cost would spread over the whole axis.
        at = [point.x for point in placed]
        axes.set_xlim(min(at) / 10**_ROOM, max(at) * 10**_ROOM)
        draw_named(figure, {axes: placed}, columns=2)
    return figure


def robustness_plot(comparison: Mapping[str, Any]) -> Figure | None:
    """Draws one panel an OOD set: a point a method, with both its intervals.

    It is Fig. 3 of the FissionFusion paper.

    Args:
        comparison: As in ``comparison.json``.

    Returns:
        The figure, a column wide for one set and two for more; None where no method has
        a result on an OOD set.
    """
    metric, test = comparison['metric'], main_set(comparison)
    sets = [name for name in comparison['sets'] if name.startswith('ood/')]
    found = {
        name: _points(comparison, name, lambda it: result_of(it, test, metric))
        for name in sets
    }
    found = {name: points for name, points in found.items() if points}
    if not found:
        return None
    title = metric_title(metric)
    columns = min(len(found), 2)
    rows = -(-len(found) // 2)
    size = (COLUMN, 2.9) if len(found) == 1 else (PAGE, 2.9 * rows)
    with rc_context(RC):
        figure = Figure(figsize=size, layout='constrained')
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for spare in grid[len(found) :]:
            spare.remove()
        panels = dict(zip(grid, found.values(), strict=False))
        for axes, name in zip(panels, found, strict=True):
            axes.set_xlabel(f'{title}, {set_title(test)}')
            axes.set_ylabel(f'{title}, {set_title(name)}')
        draw_named(figure, panels, columns=2 if len(found) == 1 else 4)
    return figure


def _points(
    comparison: Mapping[str, Any],
    set_name: str,
    across: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> list[Point]:
    """A point for each method of which both are known.

    Args:
        comparison: As in ``comparison.json``.
        set_name: Whose results are y.
        across: Gives x of a method, as results are.
    """
    looks = styles(comparison['methods'])
    points = []
    for name, method in comparison['methods'].items():
        x, y = across(method), result_of(method, set_name, comparison['metric'])
        if x.get('value') is not None and y.get('value') is not None:
            place = x['value'], y['value'], ends(x), ends(y)
            points.append(Point(method['title'], looks[name], *place))
    return points


def _epochs(method: Mapping[str, Any]) -> dict[str, Any]:
    """What the pool cost; on a logarithmic axis nothing is no cost."""
    return dict(value=(method['cost']['generation'] or {}).get('epochs') or None)


def _side_by_side(points: Sequence[Point]) -> list[Point]:
    """Moves points of one cost apart, and apart from those of the next."""
    costs = sorted({point.x for point in points})
    groups = {cost: [p for p in points if p.x == cost] for cost in costs}
    step = _STEP * _span(costs)
    for (low, before), (high, after) in pairwise(groups.items()):
        room = np.log10(high / low) / ((len(before) + len(after)) / 2 + 1)
        step = min(step, room)
    return [
        replace(point, x=cost * 10 ** (step * (i - (len(group) - 1) / 2)))
        for cost, group in groups.items()
        for i, point in enumerate(group)
    ]


def _span(costs: Sequence[float]) -> float:
    """How far the costs lie apart, in decades."""
    return max(np.log10(costs[-1] / costs[0]), _LEAST_SPAN)


def _set_ticks(axes: Axes, costs: Sequence[float]) -> None:
    """Ticks where there are costs, as plain numbers, unless they were too close."""
    kept = [costs[0]]
    for cost in costs[1:]:
        if np.log10(cost / kept[-1]) >= _TICK_GAP * _span(costs):
            kept.append(cost)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_major_formatter(FixedFormatter([count(cost) for cost in kept]))
    axes.xaxis.set_minor_locator(NullLocator())
