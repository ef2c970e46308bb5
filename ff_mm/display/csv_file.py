"""Rows of numbers as a csv file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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
        writer = csv.DictWriter(file, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
