"""In-domain against out-of-distribution results (Fig. 3 of the FissionFusion paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ff_mm.comparison.report.plots.labels import draw_named
from ff_mm.comparison.report.plots.style import Point, ends, styles
from ff_mm.comparison.report.wording import main_set, metric_title, ood_sets, set_title
from ff_mm.display.figures import COLUMN, PAGE, RC


def robustness_plot(comparison: Mapping[str, Any]) -> Figure | None:
    """Draws one panel an OOD set: a point a method, with both its intervals.

    Args:
        comparison: As in ``comparison.json``.

    Returns:
        The figure, a column wide for one set and two for more; None where no method has
        a result on an OOD set.
    """
    found = {name: _points(comparison, name) for name in ood_sets(comparison)}
    found = {name: points for name, points in found.items() if points}
    if not found:
        return None
    metric = metric_title(comparison['metric'])
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
            axes.set_xlabel(f'{metric}, {set_title(main_set(comparison))}')
            axes.set_ylabel(f'{metric}, {set_title(name)}')
        draw_named(figure, panels, columns=2 if len(found) == 1 else 4)
    return figure


def _points(comparison: Mapping[str, Any], set_name: str) -> list[Point]:
    metric, methods = comparison['metric'], comparison['methods']
    looks = styles(methods)
    points = []
    for name, method in methods.items():
        x, y = (
            method['results'].get(key, {}).get(metric) or {}
            for key in (main_set(comparison), set_name)
        )
        if x.get('value') is None or y.get('value') is None:
            continue
        points.append(
            Point(
                method['title'], looks[name], x['value'], y['value'], ends(x), ends(y)
            )
        )
    return points
