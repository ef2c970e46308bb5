"""A legend below a figure, as wide as fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend


def legend_below(figure: Figure, attempts: Iterable[Mapping[str, Any]]) -> None:
    """Puts a legend below all panels, for which the figure grows.

    Args:
        figure: With constrained layout.
        attempts: Arguments of ``Figure.legend``, the widest legend first. The first one
            that fits the figure's width is taken, or else the last.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    legend: Legend | None = None
    for arguments in attempts:
        if legend is not None:
            legend.remove()
        legend = figure.legend(
            loc='outside lower center',
            frameon=False,
            columnspacing=1.2,
            labelspacing=0.35,
            **arguments,
        )
        box = legend.get_window_extent(renderer)
        if box.width <= figure.bbox.width:
            break
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + box.height / figure.dpi)
