"""Results against what the training of the pool cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from ff_mm.comparison.report.wording import count, main_set, metric_title, set_title
from ff_mm.display.figures import COLUMN, RC

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
        The figure, a column wide; None where no cost is known.
    """
    points = _points(comparison)
    if not points:
        return None
    metric = metric_title(comparison['metric'])
    costs = sorted({point.x for point in points})
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


def _points(comparison: Mapping[str, Any]) -> list[Point]:
    name, metric = main_set(comparison), comparison['metric']
    looks = styles(comparison['methods'])
    points = []
    for key, method in comparison['methods'].items():
        epochs = (method['cost']['generation'] or {}).get('epochs')
        result = method['results'].get(name, {}).get(metric) or {}
        if epochs and result.get('value') is not None:
            y = result['value']
            points.append(
                Point(method['title'], looks[key], epochs, y, None, ends(result))
            )
    return points


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
