"""How plots look: for print, and told apart without colour."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from ff_mm.display.escaping import svg
from ff_mm.files import atomic_write

#: Inches: one column of a page, and two.
COLUMN, PAGE = 3.4, 7.0
INK, FAINT, PAPER = '#1a1a1a', '#b9b9b9', '#ffffff'
#: Of Okabe and Ito, in an order in which neighbours differ in luminance too.
COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7')
#: For quantities: from low to high evenly in luminance, also without colour.
COLOUR_MAP = 'viridis'

RC: dict[Any, Any] = {
    # matplotlib brings it; what shows an SVG may have to do with another.
    'font.family': ['DejaVu Sans', 'sans-serif'],
    'font.size': 7.5,
    'axes.labelsize': 8,
    'axes.titlesize': 8,
    'xtick.labelsize': 7,
    'ytick.labelsize': 7,
    'legend.fontsize': 7,
    'axes.linewidth': 0.6,
    'xtick.major.width': 0.6,
    'ytick.major.width': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': INK,
    'axes.labelcolor': INK,
    'axes.titlecolor': INK,
    'axes.facecolor': 'none',
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
    # Titles are users' own: a dollar sign is one.
    'text.parse_math': False,
    'axes.unicode_minus': False,
    # Text stays text, to be searched and edited.
    'pdf.fonttype': 42,
    'svg.fonttype': 'none',
    # The same numbers give the same file.
    'svg.hashsalt': 'ff_mm',
}


# Control characters, which a terminal would obey.
_CONTROL = r'Glyph (\d|[12]\d|3[01]|12[7-9]|1[345]\d) .*missing'
_UNDATED = {'svg': {'Date': None}, 'pdf': {'CreationDate': None}, 'png': {}}


def save_figure(
    figure: Figure, stem: str | Path, suffixes: Sequence[str] = ('png', 'svg')
) -> list[Path]:
    """Writes a figure, with text as text where the format can.

    Args:
        figure: The figure.
        stem: The path without the suffix.
        suffixes: ``'png'`` (300 dpi), ``'svg'``, ``'pdf'``.

    Returns:
        The files.
    """
    files = []
    for suffix in suffixes:
        files.append(Path(f'{stem}.{suffix}'))
        with atomic_write(files[-1]) as file:
            file.write(rendered(figure, suffix))
    return files


def rendered(figure: Figure, suffix: str, background: str = PAPER) -> bytes:
    """Gives a figure as the content of a file; the same numbers, the same bytes.

    Args:
        figure: The figure.
        suffix: As of :func:`save_figure`.
        background: Its colour, or ``'none'``.
    """
    file = io.BytesIO()
    with rc_context(RC), warnings.catch_warnings():
        # Of a sign that the font lacks matplotlib warns with the sign as it is.
        warnings.filterwarnings('ignore', _CONTROL, UserWarning)
        figure.savefig(
            file,
            format=suffix,
            dpi=300,
            facecolor=background,
            metadata=_UNDATED[suffix],
        )
    if suffix != 'svg':
        return file.getvalue()
    return svg(file.getvalue().decode()).encode()


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
