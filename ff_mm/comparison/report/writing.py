"""All files of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ff_mm.comparison.report.latex import to_latex
from ff_mm.comparison.report.long_csv import to_csv
from ff_mm.comparison.report.markdown import to_markdown
from ff_mm.comparison.report.page import to_html
from ff_mm.comparison.report.plots import draw_plots, save
from ff_mm.comparison.report.tables import all_tables
from ff_mm.files import atomic_write, write_json


def write_comparison_report(
    comparison: Mapping[str, Any], work_dir: str | Path
) -> list[Path]:
    """Writes a comparison for programs, for people and for papers.

    Args:
        comparison: What is to be ``comparison.json``; see docs/architecture.md. Plain
            values, metrics as fractions, None for what is not finite.
        work_dir: The folder to write to.

    Returns:
        The files: ``comparison.json``, ``.md``, ``.csv``, ``.tex`` and ``.html``, and
        of each plot that there are numbers for ``comparison_<plot>.pdf``, ``.svg`` and
        ``.png``.

    Raises:
        ConfigError: ``published`` names results that the paper does not have.
    """
    folder = Path(work_dir)
    files = [folder / 'comparison.json']
    write_json(dict(comparison), files[0])  # first: it cost the most
    tables = all_tables(comparison)
    plots = draw_plots(comparison)
    texts = {
        'md': to_markdown(comparison, tables),
        'csv': to_csv(comparison),
        'tex': to_latex(comparison, tables),
        'html': to_html(comparison, tables, plots),
    }
    for suffix, text in texts.items():
        files.append(folder / f'comparison.{suffix}')
        with atomic_write(files[-1], 'w') as file:
            file.write(text)
    for plot in plots:
        files += save(plot, folder)
    return files
