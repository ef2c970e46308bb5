"""Validation metrics and learning rate over the epochs of a base and its fission."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ff_mm.analysis.trajectory.training_log import Chain, TrialLog
from ff_mm.analysis.value_range import value_range
from ff_mm.display.figures import COLOURS, COLUMN, FAINT, PAGE, PAPER, RC

_BASE, _FISSION = COLOURS[0], '#d55e00'
#: Of the best epoch, and of a snapshot.
_RING: dict[str, Any] = dict(marker='o', markerfacecolor=PAPER, markersize=4)
_DIAMOND: dict[str, Any] = dict(marker='D', markersize=3)
#: Columns of panels up to so many chains; more have eight.
_COLUMNS = {1: 1, 2: 2, 3: 3, 16: 4, 24: 6}
_MOST_COLUMNS = 8
#: More chains than this have smaller titles, and fewer numbers on axes.
_MANY = 16
#: Inches up to so many rows of panels: a metric, and the strip below; and of more rows.
_HEIGHTS = {2: (1.0, 0.5), 4: (0.7, 0.32)}
_LEAST_HEIGHTS = (0.5, 0.24)
#: Inches: between axes of a panel, between panels, and around them all.
_GAP, _BETWEEN, _BELOW = 0.07, 0.14, 0.28
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.58, 0.08, 0.24, 0.6
#: Of the range of values: the room at both ends.
_MARGIN = 0.08
#: Of titles of many panels, in points; of any letter, in heights of the font.
_SMALL, _LETTER, _LINE_SPACING, _POINTS = 6.5, 0.58, 1.25, 72
_NO_BREAK = '\N{NO-BREAK SPACE}'
#: As many times the median distance from the best value is still shown.
_SPREAD = 10


def trajectory_plot(
    chains: Sequence[Chain], titles: Sequence[str], metrics: Mapping[str, str]
) -> Figure:
    """Draws a panel a chain, with common axes.

    From top to bottom: a metric each, and the learning rate on a logarithmic axis. The
    fission's epochs follow the base's, although it starts from the base's best epoch
    and not from the last; a dotted line leads there.

    Args:
        chains: One or more.
        titles: Of the panels.
        metrics: ``'greater'`` or ``'less'``, which values are better, by the names of
            the metrics to draw.

    Returns:
        The figure: a column wide for one chain, else a page.
    """
    with rc_context(RC):
        size = RC['axes.titlesize'] if len(chains) <= _MANY else _SMALL
        titles = _wrapped(titles, size)
        lines = max(title.count('\n') for title in titles)
        extra = lines * size / _POINTS * _LINE_SPACING
        figure, panels = _panels(len(chains), len(metrics), extra)
        for chain, title, panel in zip(chains, titles, panels, strict=True):
            panel[0].set_title(title, pad=3, fontsize=size)
            for axes, metric in zip(panel[:-1], metrics, strict=True):
                _draw_metric(axes, chain, metric)
            _draw_rate(panel[-1], chain)
        _set_limits(panels, chains, metrics)
        _legend(figure, chains)
    return figure


def _wrapped(titles: Sequence[str], size: float) -> list[str]:
    """Breaks titles into lines that are no wider than a panel."""
    columns, _, each = _columns(len(titles))
    if columns == 1:
        return list(titles)
    letters = int(each * _POINTS / (_LETTER * size))
    return ['\n'.join(_lines(title, letters)) for title in titles]


def _lines(title: str, letters: int) -> list[str]:
    """Breaks a title, between hyper-parameters only, as 'lr 0.001, seed 1' has them."""
    whole = ', '.join(part.replace(' ', _NO_BREAK) for part in title.split(', '))
    lines = textwrap.wrap(whole, letters) or ['']
    return [line.replace(_NO_BREAK, ' ') for line in lines]


def _columns(number: int) -> tuple[int, float, float]:
    """How many columns of panels, and the widths of the figure and of a panel."""
    most = next((up_to for up_to in _COLUMNS if number <= up_to), None)
    columns = _MOST_COLUMNS if most is None else _COLUMNS[most]
    width = COLUMN if number == 1 else PAGE
    each = (width - _LEFT - _RIGHT - (columns - 1) * _BETWEEN) / columns
    return columns, width, each


def _panels(number: int, metrics: int, title: float) -> tuple[Figure, list[list[Axes]]]:
    """Makes all axes, placed in inches: a layout engine takes minutes for so many."""
    columns, width, each = _columns(number)
    above, below = _TOP + title, _BELOW + title
    rows = -(-number // columns)
    of_rows = next((h for up_to, h in _HEIGHTS.items() if rows <= up_to), None)
    metric, rate = of_rows or _LEAST_HEIGHTS
    heights = [metric] * metrics + [rate]
    panel = sum(heights) + _GAP * metrics
    height = above + _BOTTOM + rows * panel + (rows - 1) * below
    figure = Figure(figsize=(width, height))
    panels: list[list[Axes]] = []
    for i in range(number):
        row, column = divmod(i, columns)
        left = _LEFT + column * (each + _BETWEEN)
        top = height - above - row * (panel + below)
        panels.append([])
        for part, size in enumerate(heights):
            top -= size
            box = (left / width, top / height, each / width, size / height)
            shared: dict[str, Any] = dict(sharex=panels[0][0]) if i or part else {}
            if i:
                shared['sharey'] = panels[0][part]
            panels[-1].append(figure.add_axes(box, **shared))
            top -= _GAP
        # The last of its column has the numbers.
        _hide_labels(panels[-1], column > 0, i + columns < number)
    return figure, panels


def _hide_labels(panel: Sequence[Axes], not_left: bool, not_last: bool) -> None:
    for axes in panel:
        is_last = axes is panel[-1] and not not_last
        axes.tick_params(labelleft=not not_left, labelbottom=is_last, length=2)
    if not not_last:
        panel[-1].set_xlabel('epoch')


def _draw_metric(axes: Axes, chain: Chain, metric: str) -> None:
    _mark_start(axes, chain)
    for trial, colour in _coloured(chain):
        start = chain.start(trial)
        values = trial.metric(metric)
        x, y = [start + epoch for epoch in values], list(values.values())
        if (origin := _origin(chain, trial, metric)) is not None:
            best_epoch, value = origin
            axes.plot(
                [best_epoch, start],
                [value, value],
                color=colour,
                linewidth=0.8,
                linestyle=(0, (1, 1.2)),
            )
            x, y = [start, *x], [value, *y]
        axes.plot(x, y, color=colour, linewidth=1)
        axes.plot(
            *_where(values, start, trial.snapshots),
            color=colour,
            linestyle='',
            clip_on=False,
            **_DIAMOND,
        )
        chosen = [] if trial.best_epoch is None else [trial.best_epoch]
        axes.plot(
            *_where(values, start, chosen),
            color=colour,
            linestyle='',
            clip_on=False,
            zorder=3,
            **_RING,
        )


def _draw_rate(axes: Axes, chain: Chain) -> None:
    _mark_start(axes, chain)
    axes.set_yscale('log')
    for trial, colour in _coloured(chain):
        at, values = trial.learning_rate()
        with_sign = np.where(values > 0, values, np.nan)  # 0 has no logarithm
        axes.plot(chain.start(trial) + at, with_sign, color=colour, linewidth=0.8)


def _mark_start(axes: Axes, chain: Chain) -> None:
    """A line where the fission begins."""
    if chain.base is not None and chain.fission is not None:
        axes.axvline(chain.base.epochs, color=FAINT, linewidth=0.6, zorder=0)


def _coloured(chain: Chain) -> Iterator[tuple[TrialLog, str]]:
    for trial in chain.trials:
        yield trial, _BASE if trial is chain.base else _FISSION


def _origin(chain: Chain, trial: TrialLog, metric: str) -> tuple[int, float] | None:
    """The epoch, and the metric, of the model that a fission starts from."""
    base = chain.base
    if base is None or trial is base or base.best_epoch is None:
        return None
    value = base.metric(metric).get(base.best_epoch)
    return None if value is None else (base.best_epoch, value)


def _where(
    values: Mapping[int, float], start: int, epochs: Sequence[int] | Mapping[int, int]
) -> tuple[list[int], list[float]]:
    known = [epoch for epoch in epochs if epoch in values]
    return [start + epoch for epoch in known], [values[epoch] for epoch in known]


def _set_limits(
    panels: Sequence[Sequence[Axes]],
    chains: Sequence[Chain],
    metrics: Mapping[str, str],
) -> None:
    trials = [trial for chain in chains for trial in chain.trials]
    first = panels[0]
    ends = [chain.start(t) + t.epochs for chain in chains for t in chain.trials]
    first[0].set_xlim(0, max(ends))
    first[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ticks = 3 if len(chains) > _MANY else 4
    for number, (metric, rule) in enumerate(metrics.items()):
        values = [v for trial in trials for v in trial.metric(metric).values()]
        shown = value_range(values, rule, _SPREAD)
        first[number].set_ylim(shown.with_room(_MARGIN))
        first[number].yaxis.set_major_locator(MaxNLocator(ticks))
    first[-1].yaxis.set_major_locator(LogLocator(numticks=4))
    first[-1].yaxis.set_minor_locator(NullLocator())
    first[-1].yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f'{rate:.0e}'))
    size = _SMALL if len(chains) > _MANY else RC['axes.labelsize']
    labels = [*(metric.replace('_', ' ') for metric in metrics), 'lr']
    for panel in panels:
        if panel[0].yaxis.get_tick_params()['labelleft']:
            for axes, label in zip(panel, labels, strict=True):
                axes.set_ylabel(label, fontsize=size)
    # Labels of one column stand below each other, however wide numbers are.
    _, _, each = _columns(len(chains))
    for panel in panels:
        for axes in panel:
            axes.yaxis.set_label_coords(-0.44 / each, 0.5)


def _legend(figure: Figure, chains: Sequence[Chain]) -> None:
    looks: dict[str, dict[str, Any]] = {}
    if any(chain.base for chain in chains):
        looks['base'] = dict(color=_BASE, linewidth=1)
        looks['best epoch'] = dict(_RING, color=_BASE, linestyle='')
    if any(chain.fission for chain in chains):
        looks['fission'] = dict(color=_FISSION, linewidth=1)
        looks['snapshot'] = dict(_DIAMOND, color=_FISSION, linestyle='')
    entries = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(
        handles=entries,
        loc='lower center',
        ncols=len(entries),
        frameon=False,
        handlelength=1.4,
        columnspacing=1.4,
        borderaxespad=0.2,
    )
