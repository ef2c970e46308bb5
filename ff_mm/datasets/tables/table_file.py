"""Tables in the forms in which people keep them, read as text, cell by cell."""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.text import read_text
from ff_mm.datasets.tables.parquet import read_parquet
from ff_mm.plain import first_few


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
_EXCEL = (b'PK\x03\x04', b'\xd0\xcf\x11\xe0')


class TextForm(NamedTuple):
    """What is known of a table that is text before it is read."""

    encoding: str | None
    columns: list[str]
    header: list[str]


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        place: Where it stands, for messages: ``'row 2'`` is the first below the names
            of the columns, as a spreadsheet shows it.
        cells: Column -> text without space around it.
        split: The split whose table it stands in; '' if a table has all splits.
        image: The image that is meant, where the cell names a folder; else ''.
    """

    place: str
    cells: dict[str, str]
    split: str = ''
    image: str = ''


def read_rows(
    path: str,
    columns: Sequence[str],
    problems: Problems,
    optional: Sequence[str] | None = (),
    encoding: str | None = None,
    header: Sequence[str] = (),
) -> list[Row]:
    """Reads some columns of a table. What the file is, its first bytes tell.

    Args:
        path: Text with a row of column names and a comma, semicolon, tab or ``|``
            between the cells (or a space, if the names are found so only), or what a
            first line ``sep=;`` says, with gzip or without; or a parquet file, which
            needs pyarrow.
        columns: Which to read.
        problems: Takes a note of what is wrong: no such file, a form or an encoding
            that is another, columns that are not there, no rows.
        optional: Which others to read where they are there; None: all.
        encoding: Of text; None: UTF-8, and the user cannot say another. Byte order
            marks, also of UTF-16, are recognised.
        header: The names of the columns, where the first line does not say them.

    Returns:
        The rows in which anything stands; none if a column is missing. A row that is
        too short is filled up with empty cells.
    """
    wanted = None if optional is None else {*columns, *optional}
    form = TextForm(encoding, [*columns], [*header])
    names, lines = _read_lines(path, wanted, problems, form)
    if names is None:
        return []
    own = encoding is not None and not header
    if not _has_columns(names, columns, path, problems, own):
        return []
    kept = [name for name in names if wanted is None or name in wanted]
    rows = list(_rows(names, lines, kept, first=1 if header else 2))
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


_EMPTY_TABLE = 'The table {path!r} is empty. Get the file again.'

# A table is its column names and its lines, in order, blank ones included; the names
# are None where it could not be read.
Lines = tuple[list[str] | None, list[list[str]]]


def _read_lines(
    path: str, wanted: set[str] | None, problems: Problems, form: TextForm
) -> Lines:
    if not os.path.isfile(path):
        wrong = 'is a folder' if os.path.isdir(path) else 'does not exist'
        problems.add(f'The table {path!r} {wrong}. {_tables_beside(path)}')
        return None, []
    if not os.path.getsize(path):
        problems.add(_EMPTY_TABLE.format(path=path))
        return None, []
    with open(path, 'rb') as file:
        head = file.read(4)
    if head in _EXCEL:
        problems.add(
            f"{path!r} is an Excel workbook. Save it in Excel as 'CSV UTF-8', and "
            'name that file.'
        )
        return None, []
    if head == _PARQUET and form.header:
        problems.add(f'{path!r} is a parquet file, which has names: leave header out.')
        return None, []
    if head == _PARQUET:
        return read_parquet(path, wanted, problems)
    return _read_text(path, problems, form)


def _read_text(path: str, problems: Problems, form: TextForm) -> Lines:
    text = read_text(path, problems, form.encoding)
    if text is None:
        return None, []
    if not text.strip():
        problems.add(_EMPTY_TABLE.format(path=path))
        return None, []
    said = _SEPARATOR_LINE.match(text)
    text = text[said.end() :] if said else text
    delimiter = said[1].replace('\\t', '\t') if said else _delimiter(text, form)
    lines = _read_lines_of_text(path, text, delimiter, problems)
    if not lines:
        return None, []
    above = [name.strip() for name in lines[0]]
    names = form.header or above
    if len(above) != len(names):
        problems.add(
            f'table.header names {len(names)} columns, the first line of {path!r} has '
            f'{len(above)} cells: {above}. Name each column.'
        )
        return None, []
    if above != names:  # else the table has the names nevertheless
        lines.insert(0, [])
    problems.found(
        f'rows of {path!r} with more cells than there are columns',
        [
            f'row {number}'
            for number, line in enumerate(lines[1:], start=1 if form.header else 2)
            if ''.join(line[len(names) :]).strip()
        ],
        'Put quotes (") around a cell that has the separator in it.',
    )
    return names, lines[1:]


def _read_lines_of_text(
    path: str, text: str, delimiter: str, problems: Problems
) -> list[list[str]]:
    # Strict, since an open quote would otherwise swallow the rest of the table.
    reader = csv.reader(
        io.StringIO(text, newline=''),
        delimiter=delimiter,
        strict=True,
        skipinitialspace=delimiter == ' ',
    )
    try:
        return list(reader)
    except csv.Error as error:
        problems.add(
            f'{path!r}, line {reader.line_num}: {error}. A quote (") may only stand '
            'around a whole cell; one inside of it is doubled ("").'
        )
        return []


def _delimiter(text: str, form: TextForm) -> str:
    """Gives what stands between the cells, as the first line shows it."""
    line = re.split(r'[\r\n]', text, maxsplit=1)[0]
    try:
        counts = {d: len(next(csv.reader([line], delimiter=d))) for d in _DELIMITERS}
    except (csv.Error, StopIteration):  # which reading the table will say
        return _DELIMITERS[0]
    words = line.split()
    if form.header:
        counts[' '] = len(words)
        named = len(form.header)
        return next((d for d, n in counts.items() if n == named), _DELIMITERS[0])
    if max(counts.values()) == 1 < len(words) and {*form.columns} <= {*words}:
        return ' '
    return max(counts, key=counts.__getitem__)


_NO_NAMES = ' If these are no names, but a row: name the columns with table.header.'


def _has_columns(
    names: list[str],
    columns: Sequence[str],
    path: str,
    problems: Problems,
    may_name: bool,
) -> bool:
    missing = [name for name in dict.fromkeys(columns) if name not in names]
    problems.found(
        f'columns that {path!r} does not have',
        [with_nearest(name, names) for name in missing],
        f'It has {names}.'
        # Without any of them the first line may be none of names.
        + _NO_NAMES * (may_name and len(missing) == len(set(columns))),
    )
    doubled = [name for name in dict.fromkeys(columns) if names.count(name) > 1]
    problems.found(
        f'columns of {path!r} with the same name', doubled, 'Rename all but one.'
    )
    return not missing and not doubled


def _rows(
    names: list[str], lines: list[list[str]], kept: Sequence[str], first: int
) -> Iterator[Row]:
    places = {name: names.index(name) for name in kept}
    for number, line in enumerate(lines, start=first):
        if any(map(str.strip, line)):
            padded = line + [''] * (len(names) - len(line))
            cells = {name: padded[i].strip() for name, i in places.items()}
            yield Row(f'row {number}', cells)


#: The word of a map that stands for all words that it does not name.
OTHERS = '*'

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
        meanings: Word -> what it stands for, or None: for nothing. ``''`` is any cell
            that :func:`is_empty`, :data:`OTHERS` any other word; where that is not
            there each stands for itself.
    """
    word = plain(cell)
    if word not in meanings and is_empty(word):
        word = ''
    if word and word not in meanings and OTHERS in meanings:
        return meanings[OTHERS]
    return meanings.get(word, word)


def note_others(
    words: Iterable[str], meanings: Mapping[str, str | None], key: str
) -> list[str]:
    """Says what :data:`OTHERS` of a map stands for, in one note or none.

    Args:
        words: All cells, or names of folders, that the map is for.
        meanings: As for :func:`meaning`.
        key: The map, such as ``'table.label_map'``.
    """
    if OTHERS not in meanings:
        return []
    counts = Counter(map(plain, words))
    found = [
        f'{word!r} {count}'
        for word, count in counts.most_common()
        if word not in meanings and not is_empty(word)
    ]
    if not found:
        return []
    what = meanings[OTHERS]
    meant = 'is left out' if what is None else f'counts as {what!r}'
    return [
        f'{OTHERS!r} of {key}: what {len(found)} other values say {meant} '
        f'({first_few(found, 5)}).'
    ]
