"""Small plots for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ff_mm.display.figures import COLOURS, COLUMN, INK, RC

#: Inches: of a row, and of all else.
_ROW, _FRAME = 0.24, 0.7


def interval_plot(values: Mapping[str, Mapping[str, Any]], label: str) -> Figure:
    """Draws a row for each name, a point and its interval.

    Args:
        values: By name, with ``value``, ``low`` and ``high``, each of which may be
            None.
        label: Of the axis.
    """
    known = {name: it for name, it in values.items() if it['value'] is not None}
    with rc_context(RC):
        size = (COLUMN * 1.4, _FRAME + _ROW * len(known))
        figure = Figure(figsize=size, layout='constrained')
        axes = figure.subplots()
        for place, it in enumerate(known.values()):
            if it['low'] is not None and it['high'] is not None:
                axes.plot(
                    [it['low'], it['high']], [place] * 2, color=INK, linewidth=0.7
                )
            axes.plot(it['value'], place, 'o', color=COLOURS[0], markersize=4.5)
        axes.set_yticks(range(len(known)), list(known))
        axes.invert_yaxis()
        axes.set_xlabel(label)
    return figure
