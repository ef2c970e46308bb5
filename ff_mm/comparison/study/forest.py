"""The forest plot of a study: every method in every setting, and over them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ff_mm.comparison.report.wording import metric_title, sentence
from ff_mm.comparison.study.setting import SELECTED
from ff_mm.comparison.study.study import DOMAINS
from ff_mm.comparison.study.tables import DOMAIN_TITLES, of_metric
from ff_mm.display.figures import COLOURS, FAINT, INK, PAGE, PAPER, RC, legend_below

#: All of Okabe and Ito but black and yellow, in an order in which neighbours differ.
_COLOURS = (*COLOURS, '#d55e00', '#56b4e9')
_MARKERS = ('o', 's', '^', 'v', 'p', 'X', 'P', 'h', '<', '>')
#: Inches: of a row with nothing in it, for each setting, and of all else.
_ROW, _SETTING, _FRAME = 0.16, 0.045, 0.8
#: Of a row's height: from the highest setting to the lowest, and where the mean is.
_SPREAD, _MEAN = 0.44, 0.3
_LETTERS = 30
#: Rows that reach so many times as far as the median one do not say how wide it is.
_FAR = 4


def forest_plot(study: Mapping[str, Any], metric: str = SELECTED) -> Figure | None:
    """Draws one panel a domain: a row a method, with its settings and their mean.

    Small points are settings with intervals of their comparisons, told apart by marker
    and colour; diamonds are means over settings: the thin line is the interval over
    settings, seeds and cases, the thick one that over seeds and cases alone. What lies
    so far out that nothing else could be read is an arrow at the end of the axis.

    Args:
        study: As in ``study.json``.
        metric: Of which metric.

    Returns:
        The figure, as wide as a page; None where no method has such results.
    """
    found = {
        domain: {
            name: method['results'][domain][metric]
            for name, method in study['methods'].items()
            if metric in method['results'].get(domain, {})
        }
        for domain in DOMAINS
    }
    found = {domain: results for domain, results in found.items() if results}
    if not found:
        return None
    names = [n for n in study['methods'] if any(n in each for each in found.values())]
    settings = [setting['name'] for setting in study['settings']]
    used = [
        s
        for s in settings
        if any(s in r['settings'] for each in found.values() for r in each.values())
    ]
    height = _FRAME + len(names) * (_ROW + _SETTING * len(used))
    with rc_context(RC):
        figure = Figure(figsize=(PAGE, height), layout='constrained')
        panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for axes, (domain, results) in zip(panels, found.items(), strict=True):
            _draw(axes, [results.get(name) for name in names], settings)
            axes.set_title(sentence(DOMAIN_TITLES[domain]))
            axes.set_xlabel(f'{of_metric(metric)}, points better')
        titles = [study['methods'][name]['title'] for name in names]
        _name_rows(panels[0], titles)
        _legend(figure, study, used, settings)
    return figure


def _draw(
    axes: Axes, results: Sequence[Mapping[str, Any] | None], settings: Sequence[str]
) -> None:
    axes.axvline(0, color=INK, linewidth=0.6, zorder=1)
    axes.set_xlim(*_limits([result for result in results if result is not None]))
    for row, result in enumerate(results):
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color=FAINT, alpha=0.22, linewidth=0)
        if result is None:
            continue
        step = _SPREAD / max(len(settings) - 1, 1)
        for number, name in enumerate(settings):
            if name in result['settings']:
                y = row - 0.4 + step * number
                _setting(axes, result['settings'][name], y, number)
        _mean(axes, result, row + _MEAN)
    axes.tick_params(axis='y', length=0)
    axes.spines['left'].set_visible(False)
    axes.grid(axis='x', color=FAINT, linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)


def _limits(results: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The ends of an axis that has room for all rows but those that reach very far."""
    rows = [
        [
            each[key]
            for each in (result, *result['settings'].values())
            for key in ('value', 'low', 'high')
            if each[key] is not None
        ]
        for result in results
    ]
    reaches = [max(map(abs, row)) for row in rows]
    far = _FAR * median(reaches)
    near = [row for row, reach in zip(rows, reaches, strict=True) if reach <= far]
    low = 100 * min(0, *(min(row) for row in near))
    high = 100 * max(0, *(max(row) for row in near))
    room = 0.04 * (high - low) or 1
    return low - room, high + room


def _point(axes: Axes, value: float, y: float, **look: Any) -> None:
    """Draws a point; one beyond the axis as an arrow at its end."""
    low, high = axes.get_xlim()
    if value < low or value > high:
        look = look | dict(marker='<' if value < low else '>', clip_on=False)
    axes.plot(min(max(value, low), high), y, **look)


def _line(axes: Axes, ends: Mapping[str, Any], y: float, **look: Any) -> None:
    low, high = ends['low'], ends['high']
    if low is not None and high is not None:
        axes.plot([100 * low, 100 * high], [y, y], solid_capstyle='butt', **look)


def _setting(axes: Axes, result: Mapping[str, Any], y: float, number: int) -> None:
    look = _look(number)
    _line(axes, result, y, color=look['color'], linewidth=0.7, alpha=0.6, zorder=2)
    _point(axes, 100 * result['value'], y, **look, zorder=3)


def _mean(axes: Axes, result: Mapping[str, Any], y: float) -> None:
    _line(axes, result, y, color=INK, linewidth=0.9, zorder=4)
    _line(axes, result['fixed'], y, color=INK, linewidth=2.4, alpha=0.45, zorder=4)
    _point(axes, 100 * result['value'], y, **_DIAMOND, zorder=5)


_DIAMOND: dict[str, Any] = dict(
    color=INK, marker='D', markersize=4.6, markeredgewidth=0.6, linestyle='none'
)


def _look(number: int) -> dict[str, Any]:
    """How points of a setting look; more than there are colours have open ones."""
    colour = _COLOURS[number % len(_COLOURS)]
    is_open = number // len(_COLOURS) % 2
    return dict(
        color=colour,
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=3.2,
        markerfacecolor=PAPER if is_open else colour,
        markeredgewidth=0.8,
        linestyle='none',
    )


def _name_rows(axes: Axes, titles: Sequence[str]) -> None:
    axes.set_yticks(range(len(titles)), [textwrap.fill(t, _LETTERS) for t in titles])
    axes.set_ylim(len(titles) - 0.5, -0.5)


def _legend(
    figure: Figure,
    study: Mapping[str, Any],
    used: Sequence[str],
    settings: Sequence[str],
) -> None:
    metrics = {s['name']: metric_title(s['metric']) for s in study['settings']}
    handles = [
        Line2D([], [], **_look(settings.index(name)), label=f'{name} ({metrics[name]})')
        for name in used
    ]
    line = dict(_DIAMOND, linestyle='solid', linewidth=0.9)
    handles += [
        Line2D([], [], **line, label='mean; over settings, seeds and cases'),
        Line2D(
            [], [], color=INK, linewidth=2.4, alpha=0.45, label='over seeds and cases'
        ),
    ]
    legend_below(figure, (dict(handles=handles, ncols=n) for n in (4, 3, 2, 1)))
