"""A soup as a tree: what it is made of, what was left out, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from ff_mm.analysis.soup_tree.tree import SoupTree, TreeNode, set_title
from ff_mm.display.figures import COLOUR_MAP, FAINT, INK, PAGE, PAPER, RC
from ff_mm.display.labels import elided
from ff_mm.display.numbers import shown

# Text that is still read where it does not matter: 4.6 to 1 on white.
_GREY = '#757575'
_DASHES = (0, (3, 2))
# Sizes of letters in points; all others in inches.
_NAME, _SMALL = 7.0, 6.5
_BOX_WIDTH, _BOX_HEIGHT, _LINE = 0.42, 0.135, 0.125
_GAP, _SPACE, _MARGIN = 0.32, 0.06, 0.1
#: Above the tree, what the columns are.
_HEAD = 0.32
_BAR_WIDTH, _BAR_HEIGHT = 1.7, 0.09
_ROW = 0.175
#: Rows of an ingredient, and of a soup, which has a line above its box and one below.
_ROWS, _SOUP_ROWS = 1.0, 2.7
#: Between two soups.
_ROWS_BETWEEN = 0.6
#: Letters that are left of a name at least.
_SHORTEST = 9


def tree_plot(
    tree: SoupTree, metric: str | None = None, split: str = 'val', rule: str = ''
) -> Figure:
    """Draws a soup at the left, and what it was made of to the right of it.

    Each box has the node's own value, as number and as colour; brighter is better.
    What is in the soup has solid lines, the thicker the more weight, and dark names.
    What was left out hangs on dashed lines and has grey names. Beside each ingredient
    and below each soup stands what was decided by.

    Args:
        tree: The soup.
        metric: Which of the nodes' metrics; None: the one that selected.
        split: On which set.
        rule: Whether a ``'greater'`` or a ``'less'`` value is better; if it is not
            said, as of the tree.

    Returns:
        The figure, as wide as it must be and at most a page, as high as it must be.
        Names are shortened only if a page has no room for them.
    """
    metric, rule = metric or tree.metric, rule or tree.rule
    foot = _foot(tree, metric, split, rule)
    with rc_context(RC):
        layout = _Layout(tree)
        width = max(layout.width, *(_MARGIN * 2 + _text_width(line) for line in foot))
        below = _LINE * (len(foot) + 3)
        height = _HEAD + layout.height + below
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(layout.height + below, -_HEAD))
        axes.set_axis_off()
        _draw_heads(axes, layout)
        colours = _colours(layout, metric, split, rule)
        for place in layout.places:
            for child in place.children:
                _draw_branch(axes, layout, place, child)
        for place in layout.places:
            _draw_place(axes, place, place.node.value(metric, split), colours)
        _draw_foot(figure, axes, layout.height + _LINE, foot, colours)
    return figure


@dataclass(eq=False)
class _Place:
    """A node, where it is drawn, and with what texts."""

    node: TreeNode
    column: int
    name: str
    verdict: str
    children: list[_Place] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    verdict_x: float = 0.0

    @property
    def is_soup(self) -> bool:
        return self.node.method is not None

    @property
    def is_in(self) -> bool:
        """Whether it is in the whole soup, and not only in one that was left out."""
        return self.node.is_in

    @property
    def share(self) -> str:
        if not self.node.weight or self.node.accepted is None:
            return ''
        return f'{100 * self.node.weight:.3g}%'

    @property
    def label_width(self) -> float:
        """Of name and share."""
        name = _text_width(self.name, _NAME, self.is_in)
        return name + (_SPACE + _text_width(self.share) if self.share else 0.0)


class _Layout:
    """Where everything is, in inches from the left, and from the top of the tree."""

    def __init__(self, tree: SoupTree) -> None:
        self.heads = [*reversed(tree.levels), 'ingredients']
        self.root = _place(tree, tree.root)
        self.root.name = tree.title
        self.places = list(_all(self.root))
        self.height = _set_rows(self.root, 0.0) * _ROW
        self._set_columns()
        self._shorten()

    def _set_columns(self) -> None:
        left = _MARGIN
        self.rights = []
        for column, head in enumerate(self.heads):
            here = [place for place in self.places if place.column == column]
            right = _set_column(here, left)
            self.rights.append(right)
            left = max(right, left + _text_width(head)) + _GAP
        self.width = left - _GAP + _MARGIN

    def _shorten(self) -> None:
        """Leaves out of names what siblings share, then letters, until all fit."""
        leaves = [
            [child for child in place.children if not child.is_soup]
            for place in self.places
        ]
        parts = max(len(leaf.name.split('_')) for group in leaves for leaf in group)
        for count in range(1, parts):
            if self.width <= PAGE:
                return
            for group in leaves:
                names = _without_common_parts([leaf.node.name for leaf in group], count)
                for leaf, name in zip(group, names, strict=True):
                    leaf.name = name
            self._set_columns()
        length = max(len(place.name) for place in self.places)
        while self.width > PAGE and length > _SHORTEST:
            length -= 1
            for place in self.places:
                place.name = elided(place.name, length)
            self._set_columns()


def _place(tree: SoupTree, node: TreeNode) -> _Place:
    column = tree.root.level - node.level
    children = [_place(tree, child) for child in node.children]
    return _Place(node, column, node.name, _verdict(tree, node), children)


def _all(place: _Place) -> Iterator[_Place]:
    yield place
    for child in place.children:
        yield from _all(child)


def _set_rows(place: _Place, top: float) -> float:
    """Places a node and all below it from a row on; returns where they end."""
    end = top
    for number, child in enumerate(place.children):
        between = _ROWS_BETWEEN if number and child.is_soup else 0.0
        end = _set_rows(child, end + between)
    missing = (_SOUP_ROWS if place.is_soup else _ROWS) - (end - top)
    if missing > 0:
        for below in place.children:
            for moved in _all(below):
                moved.y += missing / 2 * _ROW
        end += missing
    place.y = (top + end) / 2 * _ROW
    return end


def _set_column(places: Sequence[_Place], left: float) -> float:
    """Places nodes of one column from ``left`` on; returns where they end."""
    soups = [place for place in places if place.is_soup]
    leaves = [place for place in places if not place.is_soup]
    rights = [left + _BOX_WIDTH]
    for place in soups:
        rights.append(left + max(place.label_width, _text_width(place.verdict)))
    label = left + _BOX_WIDTH + _SPACE
    verdict = label + max((leaf.label_width for leaf in leaves), default=0.0)
    for leaf in leaves:
        leaf.verdict_x = verdict + 2 * _SPACE
        rights.append(leaf.verdict_x + _text_width(leaf.verdict))
    for place in places:
        place.x = left
    return max(rights)


def _verdict(tree: SoupTree, node: TreeNode) -> str:
    """Says what was decided by, in fewer words than the text of the tree has."""
    if node.accepted is None or node.chosen_by == 'uniform':
        return ''
    sign = '+' if node.accepted else '\N{MINUS SIGN}'
    if node.bound is not None:
        return f'{sign} {tree.limit} {shown(node.bound)} with it'
    if node.chosen_by == 'best' or node.best is None or node.score is None:
        return f'{sign} {node.reason}'
    tie = ', a tie' if node.score == node.best else ''
    return f'{sign} {shown(node.score)} with it{tie}'


def _without_common_parts(names: Sequence[str], count: int) -> list[str]:
    """Replaces the first parts (between ``_``) that all names share by an ellipsis."""
    parts = [name.split('_') for name in names]
    if len(parts) < 2:
        return list(names)
    shared = set(parts[0]).intersection(*parts[1:])
    common = [part for part in dict.fromkeys(parts[0]) if part in shared][:count]
    short = ['_'.join(_with_ellipsis(name, common)) for name in parts]
    return short if len(set(short)) == len(set(names)) else list(names)


def _with_ellipsis(parts: Sequence[str], common: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if part not in common:
            kept.append(part)
        elif kept[-1:] != ['…']:
            kept.append('…')
    return kept


@lru_cache(maxsize=10_000)
def _text_width(text: str, size: float = _SMALL, bold: bool = False) -> float:
    """Inches that a text takes."""
    font = FontProperties(
        family='DejaVu Sans', size=size, weight='bold' if bold else 'normal'
    )
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return width / 72


def _colours(layout: _Layout, metric: str, split: str, rule: str) -> ScalarMappable:
    """The colours of values; the brightest is the best one."""
    values = [place.node.value(metric, split) for place in layout.places]
    known = [value for value in values if value is not None] or [0.0]
    name = COLOUR_MAP if rule == 'greater' else f'{COLOUR_MAP}_r'
    return ScalarMappable(Normalize(min(known), max(known)), colormaps[name])


def _draw_heads(axes: Axes, layout: _Layout) -> None:
    lefts = {place.column: place.x for place in layout.places}
    for column, head in enumerate(layout.heads):
        if column in lefts:
            y = -_HEAD + _MARGIN
            axes.text(lefts[column], y, head, size=_SMALL, color=_GREY, va='top')


def _draw_branch(axes: Axes, layout: _Layout, parent: _Place, child: _Place) -> None:
    """Draws a line from a soup's box, along its row, then bent to the child's box."""
    start, bend = parent.x + _BOX_WIDTH, layout.rights[parent.column]
    middle = (bend + child.x) / 2
    points = [(start, parent.y), (bend, parent.y)]
    points += [(middle, parent.y), (middle, child.y), (child.x, child.y)]
    codes = [Path.MOVETO, Path.LINETO, *[Path.CURVE4] * 3]
    axes.add_patch(
        PathPatch(
            Path(points, codes),
            fill=False,
            edgecolor=INK if child.is_in else FAINT,
            linewidth=0.8 + 1.6 * min(1, abs(child.node.weight or 0)),
            linestyle='-' if child.node.accepted else _DASHES,
            zorder=2 if child.is_in else 1,
        )
    )


def _draw_place(
    axes: Axes, place: _Place, value: float | None, colours: ScalarMappable
) -> None:
    _draw_box(axes, place, value, colours)
    ink = INK if place.is_in else _GREY
    weight = 'bold' if place.is_in else 'normal'
    if place.is_soup:
        x, y = place.x, place.y - _LINE - 0.02
        verdict = (place.x, place.y + _LINE + 0.02)
    else:
        x, y = place.x + _BOX_WIDTH + _SPACE, place.y
        verdict = (place.verdict_x, place.y)
    style: dict[str, Any] = dict(va='center_baseline', color=ink)
    axes.text(x, y, place.name, size=_NAME, weight=weight, **style)
    shift = _text_width(place.name, _NAME, place.is_in) + _SPACE
    axes.text(x + shift, y, place.share, size=_SMALL, **style)
    axes.text(*verdict, place.verdict, size=_SMALL, **style)


def _draw_box(
    axes: Axes, place: _Place, value: float | None, colours: ScalarMappable
) -> None:
    colour = to_rgb(PAPER)
    if value is not None:
        red, green, blue, _ = map(float, colours.to_rgba(np.array(value)))
        colour = red, green, blue
    axes.add_patch(
        FancyBboxPatch(
            (place.x, place.y - _BOX_HEIGHT / 2),
            _BOX_WIDTH,
            _BOX_HEIGHT,
            boxstyle='round,pad=0,rounding_size=0.03',
            facecolor=colour,
            edgecolor=INK if place.is_in else FAINT,
            linewidth=1.0 if place.is_in else 0.6,
            zorder=3,
        )
    )
    axes.text(
        place.x + _BOX_WIDTH / 2,
        place.y,
        shown(value),
        size=_SMALL,
        color=_ink_on(colour),
        ha='center',
        va='center_baseline',
        zorder=4,
    )


def _ink_on(colour: tuple[float, float, float]) -> str:
    """Dark letters on bright colours, and white ones on dark colours (Rec. 709)."""
    red, green, blue = colour
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.45 else PAPER


def _foot(tree: SoupTree, metric: str, split: str, rule: str) -> list[str]:
    """The lines below the tree that say how to read it."""
    better = 'higher' if rule == 'greater' else 'lower'
    lines = [
        f'boxes: {metric} on {set_title(split)} of each alone, {better} is better',
        'solid: taken in, dark if in the soup (with its weight); dashed: left out',
    ]
    if any(' with it' in _verdict(tree, node) for _, node in tree.nodes()):
        lines.append(f'with it: {tree.metric} on validation of the soup, if it goes in')
    if any(node.value(metric, split) is None for _, node in tree.nodes()):
        lines.append('-: not known, or no finite number')
    if tree.reestimated:
        lines.append('all before batch norm was re-estimated')
    return lines


def _draw_foot(
    figure: Figure, axes: Axes, top: float, lines: list[str], colours: ScalarMappable
) -> None:
    for number, line in enumerate(lines):
        y = top + _LINE * number
        axes.text(_MARGIN, y, line, size=_SMALL, color=_GREY, va='top')
    ends = colours.get_clim()
    if ends[0] == ends[1]:
        return
    lowest, highest = map(shown, ends)
    left = _MARGIN + _text_width(lowest) + _SPACE
    right, y = left + _BAR_WIDTH + _SPACE, top + _LINE * (len(lines) + 1)
    style: dict[str, Any] = dict(size=_SMALL, color=_GREY, va='center_baseline')
    axes.text(_MARGIN, y, lowest, **style)
    axes.text(right, y, highest, **style)
    width, height = figure.get_size_inches()
    bottom = height - _HEAD - y - _BAR_HEIGHT / 2
    place = (left / width, bottom / height, _BAR_WIDTH / width, _BAR_HEIGHT / height)
    bar = figure.colorbar(
        colours, cax=figure.add_axes(place), orientation='horizontal', ticks=[]
    )
    bar.outline.set_linewidth(0.4)
