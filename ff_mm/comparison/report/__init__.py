"""What a comparison is shown as: tables, plots and a page, from its numbers alone."""

from __future__ import annotations

from ff_mm.comparison.report.markdown import comparison_table
from ff_mm.comparison.report.published import published
from ff_mm.comparison.report.writing import write_comparison_report

__all__ = ['comparison_table', 'published', 'write_comparison_report']
