"""The plots of a comparison, for print and for the page."""

from __future__ import annotations

from ff_mm.comparison.report.plots.inline_svg import Plot, draw_plots, inline_svg, save
from ff_mm.comparison.report.plots.scatter import cost_plot, robustness_plot

__all__ = [
    'Plot',
    'cost_plot',
    'draw_plots',
    'inline_svg',
    'robustness_plot',
    'save',
]
