"""A figure for each two ingredients, as a heat map: barriers, distances, cosines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import dendrogram, fcluster, leaves_list

from ff_mm.analysis.value_range import ValueRange, fixed_range, value_range
from ff_mm.display.figures import (
    COLOUR_MAP,
    COLUMN,
    FAINT,
    INK,
    PAGE,
    PAPER,
    RC,
)
from ff_mm.display.labels import elided

#: So many ingredients fit into a column; of so many the values stand in the cells.
_IN_COLUMN, _WITH_VALUES = 4, 8
#: Of names, in letters.
_LONGEST = 36
#: More rows than this cannot all have their names.
_MOST_ROWS, _MOST_COLUMNS = 64, 24
#: More ingredients than this are many, and written small.
_MANY = 30
_FONT, _SMALL_FONT = 7, 6.5
#: Inches, as of the line of a name.
_TREE_HEIGHT, _LINE = 0.7, 0.105
#: The colour of the threshold: the vermilion of Okabe and Ito.
_CUT = '#d55e00'
#: As many times the median distance from the least value is still shown.
_SPREAD = 10


def matrix_plot(
    names: Sequence[str],
    matrix: ArrayLike,
    label: str,
    groups: Sequence[str] | None = None,
    tree: NDArray[np.float64] | None = None,
    *,
    threshold: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draws a symmetric matrix over ingredients.

    Rows are numbered, and columns have the numbers alone. Where there are too many for
    names, every so manyeth has its own. The diagonal is left empty.

    Args:
        names: Of the ingredients.
        matrix: [ingredients, ingredients]. NaN: not evaluated, shown grey; what is
            infinite is beyond the colour bar.
        label: What the values are, beside the colour bar.
        groups: Of each ingredient the name of its group, as its learning rate or basin,
            written at the right. Without a tree, members of a group come together, and
            lines separate groups.
        tree: A linkage matrix of ``scipy.cluster.hierarchy``, in the order of the
            names; its order is taken, and it is drawn above.
        threshold: Where the tree is cut: a line across it, and lines between the parts.
        limits: Of the colours; None: from the values off the diagonal. Fixed ones let
            matrices be compared.

    Returns:
        The figure, a column wide for up to four ingredients, else a page.

    Raises:
        ValueError: If names, matrix, groups and tree are not of one size.
    """
    values = _checked(names, matrix, groups, tree)
    order = _order(len(names), groups, tree)
    values = values[np.ix_(order, order)]
    with rc_context(RC):
        width = COLUMN if len(names) <= _IN_COLUMN else PAGE
        figure = Figure(figsize=(width, width), layout='constrained')
        rows = 2 if tree is not None else 1
        panels = figure.subplots(rows, 1, squeeze=False)[:, 0]
        axes = panels[-1]
        shown = _range(values, limits)
        image = _draw(axes, values, shown)
        _colour_bar(figure, image, axes, values, label, shown)
        if groups is not None:
            _label_groups(axes, [groups[i] for i in order])
        _separate(axes, _parts(order, groups, tree, threshold))
        if tree is not None:
            _draw_tree(panels[0], tree, threshold)
        _label_rows(axes, [names[i] for i in order])
        _label_columns(axes, len(names))
        _set_height(figure, axes, None if tree is None else panels[0])
        if len(names) <= _WITH_VALUES:
            _write_values(axes, values, image)
    return figure


def _checked(
    names: Sequence[str],
    matrix: ArrayLike,
    groups: Sequence[str] | None,
    tree: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    values = np.asarray(matrix, np.float64)
    number = len(names)
    if values.shape != (number, number):
        raise ValueError(f'{number} names, but a matrix of {values.shape}')
    if groups is not None and len(groups) != number:
        raise ValueError(f'{number} names, but {len(groups)} groups')
    if tree is not None and len(tree) != number - 1:
        raise ValueError(f'{number} names, but a tree of {len(tree) + 1}')
    return values


def _order(
    number: int, groups: Sequence[str] | None, tree: NDArray[np.float64] | None
) -> list[int]:
    if tree is not None:
        return leaves_list(tree).tolist()
    if groups is None:
        return list(range(number))
    first = {group: i for i, group in reversed(list(enumerate(groups)))}
    return sorted(range(number), key=lambda i: first[groups[i]])


def _range(
    values: NDArray[np.float64], limits: tuple[float, float] | None
) -> ValueRange:
    beside = values[~np.eye(len(values), dtype=bool)]
    if limits is not None:
        return fixed_range(beside, limits)
    return value_range(beside, 'less', _SPREAD)


def _draw(axes: Axes, values: NDArray[np.float64], shown: ValueRange) -> AxesImage:
    diagonal = np.eye(len(values), dtype=bool)
    image = axes.imshow(
        np.ma.masked_where(np.isnan(values) | diagonal, values),
        cmap=colormaps[COLOUR_MAP].with_extremes(bad=FAINT),
        vmin=shown.low,
        vmax=shown.high,
        aspect='auto',
        interpolation='none',
    )
    axes.imshow(
        np.ma.masked_where(~diagonal, diagonal),
        cmap=ListedColormap([PAPER]),
        aspect='auto',
        interpolation='none',
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _colour_bar(
    figure: Figure,
    image: AxesImage,
    axes: Axes,
    values: NDArray[np.float64],
    label: str,
    shown: ValueRange,
) -> None:
    bar = figure.colorbar(
        image,
        ax=axes,
        extend=shown.extend,
        label=label,
        fraction=0.05,
        aspect=28,
        pad=0.02,
    )
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(6))
    if np.isnan(values[~np.eye(len(values), dtype=bool)]).any():
        figure.legend(
            handles=[Patch(color=FAINT, label='not evaluated')],
            loc='outside lower right',
            frameon=False,
            handlelength=0.9,
            borderaxespad=0,
        )


def _parts(
    order: Sequence[int],
    groups: Sequence[str] | None,
    tree: NDArray[np.float64] | None,
    threshold: float | None,
) -> list[Any]:
    """What lines separate: the parts of the tree that is cut, else the groups."""
    if tree is not None and threshold is not None:
        return fcluster(tree, threshold, 'distance')[order].tolist()
    if groups is None or tree is not None:
        return [0] * len(order)
    return [groups[i] for i in order]


def _runs(values: Sequence[Any]) -> Iterator[tuple[Any, int, int]]:
    """Gives what equals its neighbours, with its start and its end."""
    start = 0
    for value, members in groupby(values):
        end = start + len(list(members))
        yield value, start, end
        start = end


def _separate(axes: Axes, parts: Sequence[Any]) -> None:
    for _, start, _ in list(_runs(parts))[1:]:
        axes.axvline(start - 0.5, color=PAPER, linewidth=1.4)
        axes.axhline(start - 0.5, color=PAPER, linewidth=1.4)


def _label_groups(axes: Axes, groups: Sequence[str]) -> None:
    runs = list(_runs(groups))
    centres = [(start + end - 1) / 2 for _, start, end in runs]
    right = axes.secondary_yaxis('right')
    names = [elided(name, _LONGEST) for name, _, _ in runs]
    right.set_yticks(centres, names, fontsize=_font(len(groups)))
    right.tick_params(length=0)
    right.spines[:].set_visible(False)


def _draw_tree(axes: Axes, tree: NDArray[np.float64], threshold: float | None) -> None:
    found = dendrogram(tree, no_plot=True)
    heights = np.array(found['dcoord'], np.float64)
    finite = heights[np.isfinite(heights)].max()
    top = max(finite, threshold or 0) * 1.1 or 1.0
    for x, y in zip(found['icoord'], heights, strict=True):
        # Leaves lie at 5, 15, 25, ..., cells of the matrix around 0, 1, 2, ...
        axes.plot(np.array(x) / 10 - 0.5, np.minimum(y, top), color=INK, linewidth=0.7)
    if threshold is not None:
        axes.axhline(threshold, color=_CUT, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.annotate(
            f'{threshold:.3g}',
            (1, threshold),
            (3, 0),
            xycoords=('axes fraction', 'data'),
            textcoords='offset points',
            va='center',
            fontsize=7,
            color=_CUT,
        )
    axes.set(xlim=(-0.5, len(tree) + 0.5), ylim=(0, top), xticks=[])
    axes.set_ylabel('joined at')
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.spines['bottom'].set_visible(False)


def _label_rows(axes: Axes, names: Sequence[str]) -> None:
    rows = range(0, len(names), -(-len(names) // _MOST_ROWS))
    texts = [f'{elided(names[i], _LONGEST)}  {i + 1}' for i in rows]
    axes.set_yticks(rows, texts, fontsize=_font(len(names)))


def _label_columns(axes: Axes, number: int) -> None:
    # Three digits are wider than two.
    most = _MOST_COLUMNS if number < 100 else _MOST_COLUMNS // 2
    columns = range(0, number, -(-number // most))
    texts = [str(i + 1) for i in columns]
    axes.set_xticks(columns, texts, fontsize=_font(number))


def _font(number: int) -> float:
    return _FONT if number <= _MANY else _SMALL_FONT


def _set_height(figure: Figure, axes: Axes, tree: Axes | None) -> None:
    """Makes the figure as high as cells need to be square, and names to be apart."""
    for _ in range(2):
        # An Agg canvas measures text; the layout is that of print.
        FigureCanvasAgg(figure).draw()
        box = axes.get_window_extent()
        needed = max(box.width / figure.dpi, len(axes.get_yticks()) * _LINE)
        height = figure.get_size_inches()[1] - box.height / figure.dpi + needed
        if tree is not None:
            height += _TREE_HEIGHT - tree.get_window_extent().height / figure.dpi
            if (grid := axes.get_gridspec()) is not None:
                grid.set_height_ratios([_TREE_HEIGHT, needed])
        figure.set_size_inches(figure.get_size_inches()[0], height)


def _write_values(axes: Axes, values: NDArray[np.float64], image: AxesImage) -> None:
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        if row == column:
            continue
        red, green, blue, _ = image.cmap(image.norm(values[row, column]))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        axes.text(
            column,
            row,
            f'{values[row, column]:.3g}',
            ha='center',
            va='center',
            fontsize=_SMALL_FONT,
            color=PAPER if dark else INK,
        )
