"""How an analysis leaves what it found: csv files, figures, a table on the console."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from ff_mm.display.console import make_console
from ff_mm.display.csv_file import write_csv
from ff_mm.display.figures import save_figure
from ff_mm.display.tables import Table

Row = Mapping[str, Any]


def write_results(
    folder: Path, tables: Mapping[str, Iterable[Row]], figures: Mapping[str, Figure]
) -> list[Path]:
    """Writes tables as csv and figures as png and svg; gives the files.

    Args:
        folder: Where to.
        tables: Rows by the name of the file, without suffix.
        figures: By the name of the file, without suffix.
    """
    files = [folder / f'{name}.csv' for name in tables]
    for file, rows in zip(files, tables.values(), strict=True):
        write_csv(file, rows)
    for name, figure in figures.items():
        files += save_figure(figure, folder / name)
    return files


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    console: Console | None = None,
) -> None:
    """Prints rows, the first column at the left, the others at the right.

    Args:
        title: Above the table.
        columns: Headings.
        rows: Of each the cells.
        console: Where to print; standard output by default.
    """
    table = Table(title=title)
    for number, name in enumerate(columns):
        table.add_column(name, justify='right' if number else 'left')
    for row in rows:
        table.add_row(*row)
    (console or make_console()).print(table)


def file_stem(metric: str) -> str:
    """The name of a metric as part of a file's name."""
    return metric.replace('/', '_')


def numbers(metrics: Row) -> dict[str, Any]:
    """Metrics without those that are tables, such as confusion matrices."""
    return {name: v for name, v in metrics.items() if not isinstance(v, list)}
