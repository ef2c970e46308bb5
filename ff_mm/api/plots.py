"""Small plots for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ff_mm.comparison.report.wording import metric_title
from ff_mm.display.figures import COLOURS, COLUMN, INK, RC
from ff_mm.errors import ConfigError

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


def pool_plot(rows: Sequence[Mapping[str, Any]], metric: str | None) -> Figure:
    """Draws a metric of all models of a pool over their learning rates.

    Args:
        rows: As :attr:`ff_mm.api.Pool.table`.
        metric: Which; None: the first.

    Raises:
        ConfigError: No model has that metric, or there is no model.
    """
    if not rows:
        raise ConfigError('the pool has no model, there is nothing to draw')
    last = list(rows[0])
    names = last[last.index('epoch') + 1 : last.index('file')]
    metric = metric or names[0]
    if metric not in names:
        raise ConfigError(f'metric={metric!r}: the models have {", ".join(names)}')
    with rc_context(RC):
        figure = Figure(figsize=(COLUMN, 2.6), layout='constrained')
        axes = figure.subplots()
        stages = list(dict.fromkeys(row['stage'] for row in rows))
        for number, stage in enumerate(stages):
            points = [
                (row['lr'], row[metric])
                for row in rows
                if row['stage'] == stage and 'lr' in row and row.get(metric) is not None
            ]
            axes.plot(
                [lr for lr, _ in points],
                [value for _, value in points],
                'os^DPX'[number % 6],
                color=COLOURS[number % len(COLOURS)],
                markersize=4.5,
                label=stage,
            )
        axes.set_xscale('log')
        rates = sorted({row['lr'] for row in rows if 'lr' in row})
        axes.set_xticks(rates, [f'{rate:g}' for rate in rates])
        axes.minorticks_off()
        axes.set_xlabel('learning rate')
        axes.set_ylabel(f'{metric_title(metric)}, val')
        if len(stages) > 1:
            axes.legend(frameon=False)
    return figure
