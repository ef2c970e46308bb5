"""Reading parquet files as tables of text."""

from __future__ import annotations

from typing import Any

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.text import LARGEST

# CVE-2023-47248: before 14.0.1 a type in a file could bring a pickle along.
_SAFE_PYARROW = 15

# Few bytes of parquet can become very many cells, as few of gzip can very much text.
_MOST_ROWS = 5_000_000
_MOST_CELLS = 25_000_000
_ROWS_AT_ONCE = 1000


class _TooLarge(Exception):
    """What a table has more of than any does."""


def read_parquet(
    path: str, wanted: set[str] | None, problems: Problems
) -> tuple[list[str] | None, list[list[str]]]:
    """Reads some columns of a parquet file, which needs pyarrow.

    Args:
        path: The file.
        wanted: The columns to read; the cells of others are empty. None: all.
        problems: Takes a note of what is wrong.

    Returns:
        The names of all columns, None if they could not be read, and the lines.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        problems.add(f'{path!r} is a parquet file: pip install pyarrow')
        return None, []
    if int(pyarrow.__version__.split('.')[0]) < _SAFE_PYARROW:
        problems.add(
            f'{path!r}: pyarrow {pyarrow.__version__} can run code that stands in a '
            f'parquet file: pip install "pyarrow>={_SAFE_PYARROW}"'
        )
        return None, []
    try:
        file = parquet.ParquetFile(path)
        names = file.schema_arrow.names
        # Others may hold the images themselves.
        read = [name for name in names if wanted is None or name in wanted]
        content = _read_columns(file, read)
    except _TooLarge as error:
        problems.add(f'{path!r} has {error}. Check that it is the right file.')
        return None, []
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
        problems.add(f'{path!r} cannot be read: {error}. Get the file again.')
        return None, []
    not_read = [''] * file.metadata.num_rows
    lines = zip(*(content.get(name, not_read) for name in names), strict=True)
    return names, [list(line) for line in lines]


def _read_columns(file: Any, names: list[str]) -> dict[str, list[str]]:
    """Reads columns as texts, some rows at a time.

    Raises:
        _TooLarge: They have more rows, cells or text than a table has.
    """
    rows = file.metadata.num_rows
    if rows > _MOST_ROWS or rows * len(names) > _MOST_CELLS:
        raise _TooLarge(
            f'{rows:,} rows with {len(names)} columns that are read; a table here has '
            f'no more than {_MOST_ROWS:,} rows and {_MOST_CELLS:,} cells'
        )
    # No cell is larger than all that is kept of the columns, so no batch is too large.
    at_once = min(max(LARGEST // (_kept_bytes(file, names) + 1), 1), _ROWS_AT_ONCE)
    found: dict[str, list[str]] = {name: [] for name in names}
    size = 0
    for batch in file.iter_batches(at_once, columns=names):
        for name, values in batch.to_pydict().items():
            texts = [_text(value) for value in values]
            size += sum(map(len, texts))
            if size > LARGEST:
                raise _TooLarge(
                    f'more than {LARGEST >> 30} GiB of text, which no table here has'
                )
            found[name] += texts
    return found


def _kept_bytes(file: Any, names: list[str]) -> int:
    """Bytes of some columns, unpacked; a text that many rows have counts once."""
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    columns = (group.column(i) for group in groups for i in range(group.num_columns))
    return sum(
        column.total_uncompressed_size
        for column in columns
        if column.path_in_schema.split('.')[0] in names
    )


def _text(value: Any) -> str:
    # NaN is how pandas leaves a cell empty, and the only value that is not itself.
    return '' if value is None or value != value else str(value)
