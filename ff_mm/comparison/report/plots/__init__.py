"""The plots of a comparison, for print and for the page."""

from __future__ import annotations

from ff_mm.comparison.report.plots.cost import cost_plot
from ff_mm.comparison.report.plots.robustness import robustness_plot
from ff_mm.comparison.report.plots.saving import Plot, draw_plots, inline_svg, save

__all__ = [
    'Plot',
    'cost_plot',
    'draw_plots',
    'inline_svg',
    'robustness_plot',
    'save',
]
