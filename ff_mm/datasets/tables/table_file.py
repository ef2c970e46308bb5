"""Tables in the forms in which people keep them, read as text, cell by cell."""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.text import LARGEST, read_text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Gives the known name that is most like another, None if none is like it.

    Upper and lower case do not matter.
    """
    folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[close[0]] if close else None


def with_nearest(name: str, known: Iterable[str]) -> str:
    """Quotes a name that is not known: ``"'Patient' (did you mean 'patient_id'?)"``."""
    other = nearest(name, known)
    return f'{name!r} (did you mean {other!r}?)' if other else repr(name)


# What a csv of this world puts between two cells; a comma where nothing tells.
_DELIMITERS = ',;\t|'
# A first line by which Excel is told.
_SEPARATOR_LINE = re.compile(r'sep=([^\r\n]|\\t)[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)

_PARQUET = b'PAR1'
# CVE-2023-47248: before 14.0.1 a type in a file could bring a pickle along.
_SAFE_PYARROW = 15

# Few bytes of parquet can become very many cells, as few of gzip can very much text.
_MOST_ROWS = 5_000_000
_MOST_CELLS = 25_000_000
_ROWS_AT_ONCE = 1000

_EXCEL = (b'PK\x03\x04', b'\xd0\xcf\x11\xe0')


class _TooLarge(Exception):
    """What a table has more of than any does."""


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        place: Where it stands, for messages: ``'row 2'`` is the first below the names
            of the columns, as a spreadsheet shows it.
        cells: Column -> text without space around it.
        split: The split whose table it stands in; '' if a table has all splits.
    """

    place: str
    cells: dict[str, str]
    split: str = ''


def read_rows(
    path: str,
    columns: Sequence[str],
    problems: Problems,
    optional: Sequence[str] | None = (),
    encoding: str = 'utf-8',
) -> list[Row]:
    """Reads some columns of a table. What the file is, its first bytes tell.

    Args:
        path: Text with a row of column names and a comma, semicolon, tab or ``|``
            between the cells, or what a first line ``sep=;`` says, with gzip or
            without; or a parquet file, which needs pyarrow.
        columns: Which to read.
        problems: Takes a note of what is wrong: no such file, a form or an encoding
            that is another, columns that are not there, no rows.
        optional: Which others to read where they are there; None: all.
        encoding: Of text. Byte order marks, also of UTF-16, are recognised.

    Returns:
        The rows in which anything stands; none if a column is missing. A row that is
        too short is filled up with empty cells.
    """
    wanted = None if optional is None else {*columns, *optional}
    names, lines = _read_lines(path, wanted, problems, encoding)
    if names is None or not _has_columns(names, columns, path, problems):
        return []
    kept = [name for name in names if wanted is None or name in wanted]
    rows = list(_rows(names, lines, kept))
    if not rows:
        problems.add(f'{path!r} has no row below the names of its columns.')
    return rows


def read_table(
    path: str,
    columns: Sequence[str],
    problems: Problems,
    optional: Sequence[str] | None = (),
) -> list[dict[str, str]]:
    """Reads a table as :func:`read_rows` does, where no place of a row is asked for.

    Args:
        path: The table.
        columns: Which to read.
        problems: Takes a note of what is wrong.
        optional: Which others to read where they are there; None: all.

    Returns:
        Column -> cell, for each row.
    """
    return [row.cells for row in read_rows(path, columns, problems, optional)]


def find_column(
    names: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    path: str,
    problems: Problems,
) -> str | None:
    """Gives the first of the names that is a column of a table.

    Args:
        names: Under which the column is known.
        rows: Of the table, with all columns.
        path: The table, for the message.
        problems: Takes a note if it has none of them; of a table without rows nothing
            more is to be said.
    """
    if not rows:
        return None
    found = next((name for name in names if name in rows[0]), None)
    if found is None:
        problems.add(
            f'{path!r} needs one of the columns {list(names)}, it has {list(rows[0])}.'
        )
    return found


def _tables_beside(path: str) -> str:
    folder = os.path.dirname(path) or '.'
    if not os.path.isdir(folder):
        return f'There is no folder {folder!r} either.'
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    other = nearest(os.path.basename(path), names)
    if other:
        return f'Did you mean {os.path.join(folder, other)!r}?'
    return f'In {folder!r} there are the files {names[:10]}.'


# A table is its column names and its lines, in order, blank ones included; the names
# are None where it could not be read.
Lines = tuple[list[str] | None, list[list[str]]]


def _read_lines(
    path: str, wanted: set[str] | None, problems: Problems, encoding: str
) -> Lines:
    if not os.path.isfile(path):
        wrong = 'is a folder' if os.path.isdir(path) else 'does not exist'
        problems.add(f'The table {path!r} {wrong}. {_tables_beside(path)}')
        return None, []
    if not os.path.getsize(path):
        problems.add(f'The table {path!r} is empty. Get the file again.')
        return None, []
    with open(path, 'rb') as file:
        head = file.read(4)
    if head in _EXCEL:
        problems.add(
            f"{path!r} is an Excel workbook. Save it in Excel as 'CSV UTF-8', and "
            'name that file.'
        )
        return None, []
    if head == _PARQUET:
        return _read_parquet(path, wanted, problems)
    return _read_text(path, problems, encoding)


def _read_text(path: str, problems: Problems, encoding: str) -> Lines:
    text = read_text(path, problems, encoding)
    if text is None:
        return None, []
    # Strict, since an open quote would otherwise swallow the rest of the table.
    said = _SEPARATOR_LINE.match(text)
    text = text[said.end() :] if said else text
    delimiter = said[1].replace('\\t', '\t') if said else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    try:
        names, *lines = list(reader) or [[]]
    except csv.Error as error:
        problems.add(
            f'{path!r}, line {reader.line_num}: {error}. A quote (") may only stand '
            'around a whole cell; one inside of it is doubled ("").'
        )
        return None, []
    problems.found(
        f'rows of {path!r} with more cells than there are columns',
        [
            f'row {number}'
            for number, line in enumerate(lines, start=2)
            if ''.join(line[len(names) :]).strip()
        ],
        'Put quotes (") around a cell that has the separator in it.',
    )
    return [name.strip() for name in names], lines


def _delimiter(text: str) -> str:
    header = re.split(r'[\r\n]', text, maxsplit=1)[0]
    try:
        return max(
            _DELIMITERS, key=lambda d: len(next(csv.reader([header], delimiter=d)))
        )
    except csv.Error:  # which reading the table will say, with its line
        return _DELIMITERS[0]


def _read_parquet(path: str, wanted: set[str] | None, problems: Problems) -> Lines:
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


def _has_columns(
    names: list[str], columns: Sequence[str], path: str, problems: Problems
) -> bool:
    missing = [name for name in dict.fromkeys(columns) if name not in names]
    problems.found(
        f'columns that {path!r} does not have',
        [with_nearest(name, names) for name in missing],
        f'It has {names}.',
    )
    doubled = [name for name in dict.fromkeys(columns) if names.count(name) > 1]
    problems.found(
        f'columns of {path!r} with the same name', doubled, 'Rename all but one.'
    )
    return not missing and not doubled


def _rows(
    names: list[str], lines: list[list[str]], kept: Sequence[str]
) -> Iterator[Row]:
    places = {name: names.index(name) for name in kept}
    for number, line in enumerate(lines, start=2):
        if any(map(str.strip, line)):
            padded = line + [''] * (len(names) - len(line))
            cells = {name: padded[i].strip() for name, i in places.items()}
            yield Row(f'row {number}', cells)


# What R, pandas and spreadsheets write where nothing is known. Not 'none', which is
# a finding.
_EMPTY = ('', 'nan', 'na', 'n/a', '#n/a', 'null')

_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)')
_WHOLE = re.compile(r'([+-]?\d+)\.0*')


def plain(value: object) -> str:
    """Gives a cell, or a value of a config, as text: 1.0, 1 and ``' 1'`` are ``'1'``.

    A column of whole numbers of which one is missing comes out of pandas as floats.
    """
    text = str(value).strip()
    whole = _WHOLE.fullmatch(text)
    return whole.group(1) if whole else text


def is_empty(cell: str) -> bool:
    """Whether a cell says that nothing is known."""
    return cell.strip().lower() in _EMPTY


def is_number(cell: str) -> bool:
    """Whether a cell is a number as 7, 007, -1.5 or .5."""
    return _NUMBER.fullmatch(cell) is not None


def meaning(cell: str, meanings: Mapping[str, str | None]) -> str | None:
    """Gives what a cell, or the name of a folder, stands for.

    Args:
        cell: As it is there.
        meanings: Word -> what it stands for, or None: for nothing. Every other word
            stands for itself. ``''`` is any cell that :func:`is_empty`.
    """
    word = plain(cell)
    if word not in meanings and is_empty(word):
        word = ''
    return meanings.get(word, word)
