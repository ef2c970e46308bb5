"""Figures as files for print, and inside the page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ff_mm.comparison.report.plots.scatter import cost_plot, robustness_plot
from ff_mm.comparison.report.wording import (
    main_set,
    metric_title,
    sentence,
    set_title,
)
from ff_mm.display.figures import COLOURS, INK, PAPER, rendered, save_figure

#: Colours of the page's style sheet, which has others for the dark.
_VARIABLES = {INK: 'currentColor', PAPER: 'var(--paper)'} | {
    colour: f'var(--pool-{number})' for number, colour in enumerate(COLOURS)
}


@dataclass(frozen=True)
class Plot:
    """A figure with its caption.

    Attributes:
        key: A short name, for files and anchors.
        caption: What it shows.
        figure: The figure.
    """

    key: str
    caption: str
    figure: Figure


def draw_plots(comparison: Mapping[str, Any]) -> list[Plot]:
    """Draws all plots for which a comparison has the numbers."""
    metric, name = metric_title(comparison['metric']), set_title(main_set(comparison))
    drawn = [
        (
            'robustness',
            f'{sentence(metric)} on {name} against {metric} out of distribution, with '
            'intervals',
            robustness_plot(comparison),
        ),
        (
            'cost',
            f'{sentence(metric)} on {name} against the epochs of training that the '
            'whole pool took, with intervals; methods of one pool stand side by side',
            cost_plot(comparison),
        ),
    ]
    return [Plot(key, said, figure) for key, said, figure in drawn if figure]


def save(plot: Plot, folder: Path) -> list[Path]:
    """Writes a plot for print: pdf and svg with text as text, png at 300 dpi.

    Args:
        plot: The plot.
        folder: Where ``comparison_<key>.pdf`` and so on go.

    Returns:
        The files.
    """
    stem = folder / f'comparison_{plot.key}'
    return save_figure(plot.figure, stem, ('pdf', 'svg', 'png'))


def inline_svg(plot: Plot) -> str:
    """Gives a plot as an SVG element for an HTML page.

    Its ids are unlike those of other plots, it has a name for screen readers, and its
    colours are the page's.
    """
    root = ET.fromstring(rendered(plot.figure, 'svg', 'none'))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(('}metadata', '}style')):
                parent.remove(child)
    for element in root.iter():
        # HTML knows svg without namespaces.
        element.tag = element.tag.rpartition('}')[2]
        element.attrib = {
            key.rpartition('}')[2]: _for_page(key.rpartition('}')[2], value, plot.key)
            for key, value in element.attrib.items()
        }
    # The style sheet that was left out would be that of the whole page.
    root.attrib |= {
        'role': 'img',
        'aria-label': plot.caption,
        'stroke-linejoin': 'round',
        'stroke-linecap': 'butt',
    }
    return ET.tostring(root, encoding='unicode', method='html')


def _for_page(key: str, value: str, prefix: str) -> str:
    if key == 'id':
        return f'{prefix}-{value}'
    if key == 'href' and value.startswith('#'):
        return f'#{prefix}-{value[1:]}'
    if key in ('style', 'clip-path', 'fill'):
        value = value.replace('url(#', f'url(#{prefix}-')
        for colour, variable in _VARIABLES.items():
            value = value.replace(colour, variable)
    return value
