"""Reading parquet files as tables of text."""

from __future__ import annotations

from typing import Any

from ff_mm.datasets.errors import Problems

# CVE-2023-47248: before 14.0.1 a type in a file could bring a pickle along.
_SAFE_PYARROW = 15


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
        content = file.read(columns=read).to_pydict()
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
        problems.add(f'{path!r} cannot be read: {error}. Get the file again.')
        return None, []
    not_read = [''] * file.metadata.num_rows
    lines = zip(*(content.get(name, not_read) for name in names), strict=True)
    return names, [[_text(value) for value in line] for line in lines]


def _text(value: Any) -> str:
    # NaN is how pandas leaves a cell empty, and the only value that is not itself.
    return '' if value is None or value != value else str(value)
