"""Paths between models, a panel a kind of difference (appendix B1 of FissionFusion)."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from ff_mm.analysis.value_range import ValueRange, value_range
from ff_mm.display.figures import COLUMN, INK, PAGE, PAPER, RC
from ff_mm.merging.ingredient import hashable

_MOST_COLUMNS, _PANEL_HEIGHT = 3, 2.5
_LAMBDA = 'λ (0: model B, 1: model A)'
#: Of Okabe and Ito, without the black of the curves.
_CATEGORIES = (
    '#0072b2',
    '#e69f00',
    '#009e73',
    '#cc79a7',
    '#56b4e9',
    '#d55e00',
    '#f0e442',
)
#: For ordered values, without the ends that paper and ink swallow.
_MAP, _MAP_ENDS = 'plasma', (0.0, 0.9)
#: Numbers, but in no order that means anything.
_NO_ORDER = ('seed',)
_TITLES = {'lr': 'learning rate'}
_VALUES: dict[Hashable, str] = {'fission': 'snapshot', None: 'none'}
#: More values in a panel than this: some are left out of its legend.
_MOST_ENTRIES = 8
_LONGEST, _TITLE_LENGTH = 14, 34
#: As many times the median distance from the best value is still shown.
_SPREAD = 30


@dataclass(frozen=True)
class LinearPath:
    """The straight line between two models, and a metric along it.

    Attributes:
        differ: What the two differ in; it names the panel.
        key: The hyper-parameter that colours the ends; ``''``: none does.
        value_a: Its value of the model at lambda = 1, JSON-like.
        value_b: Its value of the model at lambda = 0.
        lambdas: The weight of model A, rising, from 0 to 1.
        values: The metric at each; NaN is a gap.
    """

    differ: str
    key: str
    value_a: Any
    value_b: Any
    lambdas: Sequence[float]
    values: Sequence[float]


class _Coloured(NamedTuple):
    """A value of a hyper-parameter, as users wrote it, and its colour."""

    value: Any
    colour: Any


#: By hyper-parameter, and by what :func:`hashable` makes of the value.
_Colours = Mapping[str, Mapping[Hashable, _Coloured]]


def paths_plot(paths: Sequence[LinearPath], metric: str, rule: str = 'less') -> Figure:
    """Draws a metric along the paths: small multiples, a panel a kind of difference.

    The ends are the models, coloured by what they differ in; a value has one colour in
    all panels. Values far beyond the others, as of losses that explode between two
    models, are cut off, and the panel says how many paths leave it.

    Args:
        paths: One or more; panels come in their order, those of one difference first.
        metric: What the y axis says.
        rule: ``'less'`` or ``'greater'`` values of the metric are better.

    Returns:
        The figure: a column wide for one panel, else a page.
    """
    names = sorted(_kinds(paths), key=lambda kind: kind.count('+'))
    kinds = {name: [path for path in paths if path.differ == name] for name in names}
    columns = min(len(kinds), _MOST_COLUMNS)
    rows = -(-len(kinds) // columns)
    colours = {key: _colours(paths, key) for key in {path.key for path in paths}}
    shown = value_range([v for path in paths for v in path.values], rule, _SPREAD)
    width = COLUMN if len(kinds) == 1 else PAGE
    with rc_context(RC):
        figure = Figure(
            figsize=(width, _PANEL_HEIGHT * rows + 0.6), layout='constrained'
        )
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for spare in grid.flat[len(kinds) :]:
            spare.remove()
        for axes, (kind, of_kind) in zip(grid.flat, kinds.items(), strict=False):
            _draw(axes, of_kind, colours)
            _legend(axes, of_kind, colours)
            _frame(axes, shown)
            axes.set_title(_panel_title(kind, of_kind, shown))
            axes.set_xlabel(_LAMBDA)
        figure.supylabel(metric, fontsize=RC['axes.labelsize'])
    return figure


def _kinds(paths: Sequence[LinearPath]) -> list[str]:
    return list(dict.fromkeys(path.differ for path in paths))


def _panel_title(kind: str, paths: Sequence[LinearPath], shown: ValueRange) -> str:
    beyond = sum(
        any(v > shown.high or v < shown.low for v in path.values) for path in paths
    )
    number = '1 pair' if len(paths) == 1 else f'{len(paths)} pairs'
    left = f', {beyond} beyond the axis' if beyond else ''
    return f'{textwrap.fill(kind, _TITLE_LENGTH)}\n{number}{left}'


def _draw(axes: Axes, paths: Sequence[LinearPath], colours: _Colours) -> None:
    lines = [np.column_stack([path.lambdas, path.values]) for path in paths]
    many = len(paths)
    axes.add_collection(
        LineCollection(
            lines,
            colors=INK,
            linewidths=0.9 if many <= 8 else 0.6,
            alpha=float(np.clip(6 / many, 0.12, 0.7)),
            zorder=1,
        )
    )
    for path in paths:
        ends = ((0, path.value_b), (-1, path.value_a))
        for index, value in ends:
            axes.plot(
                path.lambdas[index],
                path.values[index],
                **_point(colours[path.key][hashable(value)].colour),
            )


def _point(colour: Any) -> dict[str, Any]:
    return dict(
        marker='o',
        markersize=3.4,
        markerfacecolor=colour,
        markeredgecolor=PAPER,
        markeredgewidth=0.3,
        linestyle='none',
        clip_on=False,
        zorder=3,
    )


def _legend(axes: Axes, paths: Sequence[LinearPath], colours: _Colours) -> None:
    """Says what the colours of the ends mean, below the panel."""
    key = paths[0].key
    here = {hashable(v) for path in paths for v in (path.value_a, path.value_b)}
    found = [each for value, each in colours[key].items() if value in here]
    if not key or not found:
        return
    entries = [
        Line2D([], [], label=_text(each.value), **_point(each.colour))
        for each in _some(found)
    ]
    axes.legend(
        handles=entries,
        title=_TITLES.get(key, key),
        title_fontsize=7,
        loc='upper center',
        bbox_to_anchor=(0.5, -0.25),
        ncols=4,
        frameon=False,
        handlelength=0.6,
        handletextpad=0.3,
        columnspacing=0.9,
        borderaxespad=0,
    )


def _some(found: Sequence[Any]) -> Sequence[Any]:
    """Evenly many of the entries, the first and the last among them."""
    if len(found) <= _MOST_ENTRIES:
        return found
    picked = np.linspace(0, len(found) - 1, _MOST_ENTRIES).round().astype(int)
    return [found[index] for index in picked]


def _frame(axes: Axes, shown: ValueRange) -> None:
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(shown.with_room(0.05))
    axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _colours(paths: Iterable[LinearPath], key: str) -> dict[Hashable, _Coloured]:
    """Gives each value of a hyper-parameter its colour, in order."""
    values = {
        hashable(v): v for p in paths if p.key == key for v in (p.value_a, p.value_b)
    }
    keys = sorted(values, key=lambda each: _order(values[each]))
    ordered = all(map(_is_number, keys)) and key not in _NO_ORDER
    colours: Iterable[Any] = _CATEGORIES
    if ordered or len(keys) > len(_CATEGORIES):
        colours = map(colormaps[_MAP], np.linspace(*_MAP_ENDS, max(len(keys), 2)))
    return {
        each: _Coloured(values[each], colour)
        for each, colour in zip(keys, colours, strict=False)
    }


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, which of learning rates is their order on a log scale."""
    number = _is_number(value)
    return not number, value if number else 0.0, str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if _is_number(value):
        return f'{value:g}'
    text = _VALUES.get(hashable(value)) or str(value)
    return text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'
