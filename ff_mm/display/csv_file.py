"""Rows of numbers as a csv file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ff_mm.display.escaping import csv_cell
from ff_mm.files import atomic_write


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows under the names of their values.

    Args:
        path: The file, written atomically.
        rows: Of each the values by column; what a row lacks, and None, stays empty.
            Columns come in the order in which they first occur.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_write(path, 'w') as file:
        file.write(csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Gives a csv file as text; what a row lacks stays empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(map(csv_cell, columns))
    for row in rows:
        writer.writerow(csv_cell(row.get(name)) for name in columns)
    return file.getvalue()
