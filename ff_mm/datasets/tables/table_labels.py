"""What the label columns of a table say of its rows."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.tables.one_hot import hot_column, why_not_hot
from ff_mm.datasets.tables.table_description import TableDescription
from ff_mm.datasets.tables.table_file import (
    Row,
    is_number,
    meaning,
    plain,
    with_nearest,
)
from ff_mm.datasets.tables.uncertain_labels import read_scores
from ff_mm.plain import first_few

#: How spreadsheets and programs write yes and no.
_TRUTH = {'true': '1', 'false': '0'}

_LIST = re.compile(r'\[(.*)\]|(?:\(|\{)(.*)(?:\)|\})', re.DOTALL)
# A word in quotes of one kind or the other, where a quote of the same kind is escaped.
_WORD = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_QUOTED = re.compile(r"""(')((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_QUOTED_LIST = re.compile(rf'\s*(?:{_WORD}[\s,]*)*')


def read_words(
    rows: Sequence[Row], table: TableDescription, source: str, problems: Problems
) -> list[list[str]]:
    """Reads the classes that the column ``label`` names.

    Args:
        rows: Of the table.
        table: With ``label``.
        source: What the column is, for messages.
        problems: Takes a note of rows without a label.

    Returns:
        The classes of each row: one, or with ``label_separator`` any number.
    """
    words = [_words(row.cells[table.label], table) for row in rows]
    cells = [row.cells[table.label] for row in rows]
    problems.found(
        f'cells in {source} that look like a list',
        [
            f'{row.place}: {cell}'
            for row, cell in zip(rows, cells, strict=True)
            if _is_unread_list(cell, table)
        ],
        "Several labels an image need table.label_separator, such as ','; a list then "
        'stands in brackets with quotes around each, or none.',
    )
    otherwise = (
        'say that none is meant' if table.label_separator else 'leave the rows out'
    )
    problems.found(
        f'rows without a label in {source}',
        [row.place for row, found in zip(rows, words, strict=True) if '' in found],
        f"Fill it in, or {otherwise}: table.label_map={{'': None}}.",
    )
    return [[word for word in found if word] for found in words]


def read_label_columns(
    rows: Sequence[Row], table: TableDescription, problems: Problems
) -> list[tuple[float, ...]]:
    """Reads the columns ``labels``.

    Args:
        rows: Of the table.
        table: With ``labels``.
        problems: Takes a note of cells that mean nothing; their score is NaN.

    Returns:
        One score each label for every row: 1, 0, or -1 where it is missing.
    """
    cells = [
        {label: _score(row.cells[label], table) for label in table.labels}
        for row in rows
    ]
    # Its own note has no rows and knows no label_map.
    unnoted = Problems('')
    scores = read_scores(cells, table.labels, table.uncertain_scores, '', unnoted)
    problems.found(
        'cells of labels that are not 1, 0, -1 (uncertain) or empty (missing)',
        [
            f'{row.place}: {label}={row.cells[label]!r}'
            for row, found in zip(rows, scores, strict=True)
            for label, score in zip(table.labels, found, strict=True)
            if math.isnan(score)
        ],
        "Correct them, or say what they mean, such as table.label_map={'yes': 1, "
        "'no': 0, 'not done': None}.",
    )
    return scores


def read_one_hot(
    rows: Sequence[Row], table: TableDescription, source: str, problems: Problems
) -> list[int]:
    """Reads the columns ``labels`` where each is a class of its own.

    Args:
        rows: Of the table.
        table: With ``labels`` and ``one_hot``.
        source: The table, for messages.
        problems: Takes a note of rows in which not exactly one of them is 1.

    Returns:
        The number of the class of each row; of a wrong row any.
    """
    cells = [
        {label: _score(row.cells[label], table) for label in table.labels}
        for row in rows
    ]
    numbers = {label: number for number, label in enumerate(table.labels)}
    hot = [hot_column(said, table.labels) for said in cells]
    problems.found(
        f'rows of {source} in which not exactly one of {", ".join(table.labels)} is 1 '
        'and all others are 0',
        [
            f'{row.place}: {why_not_hot(said, table.labels)}'
            for row, said, name in zip(rows, cells, hot, strict=True)
            if not name
        ],
        'Correct them, leave them out with table.filter, or say what a cell means with '
        'table.label_map. Several labels an image: table.one_hot=False.',
    )
    return [numbers.get(name, 0) for name in hot]


def words_in(cell: str, table: TableDescription) -> list[str]:
    """Gives the words of a cell in a label column, as they stand there."""
    parts, listed = [cell], as_list(cell)
    if listed is not None and (table.label_separator or len(listed) == 1):
        parts = [part for part in listed if part.strip()]
    elif table.label_separator:
        parts = [part for part in cell.split(table.label_separator) if part.strip()]
    return parts or ['']


def _words(cell: str, table: TableDescription) -> list[str]:
    words = [meaning(part, table.label_map) for part in words_in(cell, table)]
    return [word for word in words if word is not None]


def _is_unread_list(cell: str, table: TableDescription) -> bool:
    """Whether brackets and quotes would become a part of a class."""
    if plain(cell) in table.label_map:
        return False
    listed = as_list(cell)
    if listed is not None:
        return not table.label_separator and len(listed) != 1
    text = cell.strip()
    return text[:1] == '[' and text[-1:] == ']'


def as_list(cell: str) -> list[str] | None:
    """Gives what a cell lists as Python, NumPy or JSON print a list, else None.

    ``"['a', 'b']"``, ``'["a", "b"]'``, ``"['a' 'b']"``, ``"{'a'}"``, ``"('a',)"``; of
    words without quotes only ``'[a, b]'``.
    """
    inner = _LIST.fullmatch(cell.strip())
    if inner is None:
        return None
    text = inner[1] if inner[1] is not None else inner[2]
    if _QUOTED_LIST.fullmatch(text):
        return [
            (single if quote else double).strip()
            for quote, single, double in _QUOTED.findall(text)
        ]
    if inner[1] is None or any(quote in text for quote in '\'"[]'):
        return None
    return [part.strip() for part in text.split(',')]


def _score(cell: str, table: TableDescription) -> str:
    word = meaning(cell, table.label_map)
    return '' if word is None else _TRUTH.get(word.lower(), word)


#: Of the classes that a message lists.
_SHOWN = 20


def settle_classes(
    named: Sequence[str] | None,
    found: Sequence[str],
    places: Sequence[str],
    source: str,
    problems: Problems,
) -> list[str]:
    """Gives the classes in the order of their numbers.

    Args:
        named: All that there are, if somebody has said so.
        found: The class of each case, train, val and test.
        places: Where each of these stands.
        source: Where they are from, for messages: ``"column 'dx' of 'cases.csv'"``.
        problems: Takes a note of classes that are not among the named ones, or if none
            are named, of what looks wrong.

    Returns:
        Those that are named, else those that were found: sorted, by value if all are
        numbers.
    """
    if named is None:
        classes = sort_names(set(found))
        _check_found(classes, source, problems)
        return classes
    first = dict(zip(reversed(found), reversed(places), strict=True))
    unknown = [name for name in dict.fromkeys(found) if name not in named]
    example = f'{unknown[0]!r}: {named[0]!r}' if unknown else ''
    problems.found(
        f'names in {source} that are no class',
        [f'{first[name]}: {with_nearest(name, named)}' for name in unknown],
        f'The classes are {first_few(named, _SHOWN)}. Correct one or the other, or say '
        f'what is meant, such as label_map={{{example}}}, or None to leave it out.',
    )
    return list(named)


def sort_names(names: Collection[str]) -> list[str]:
    """Sorts names, by value if all of them are numbers."""
    if all(is_number(name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)


def spelled_alike(names: Iterable[str]) -> list[list[str]]:
    """Gives names that look the same but for case, spaces and Unicode form, together.

    An e with an accent may be one character or two; a space may be one that does not
    break.
    """
    spellings = defaultdict(list)
    for name in dict.fromkeys(names):
        folded = unicodedata.normalize('NFKC', name).casefold()
        spellings[' '.join(folded.split())].append(name)
    return [names for names in spellings.values() if len(names) > 1]


def how_alike(found: Sequence[Sequence[str]]) -> str:
    """Says in what the names differ that :func:`spelled_alike` found."""
    if all(len({n.casefold() for n in names}) == 1 for names in found):
        return 'upper and lower case'
    return 'upper and lower case, spaces or Unicode form'


def join_alike(names: Sequence[str]) -> str:
    """Names them in one word, what cannot be seen by its code."""
    visible = len({name.casefold() for name in names}) == 1
    return ' and '.join(names if visible else map(ascii, names))


# Names as alike as these differ by about a letter; of so few cases it is a slip.
_ALIKE, _FEW, _MANY_MORE = 0.85, 2, 5


def note_slips(found: Iterable[str], source: str) -> list[str]:
    """Says which classes look like another that was mistyped, in one note or none.

    A class of one or two cases whose name is nearly that of one with many more is
    mostly no class, and nobody has named the classes.

    Args:
        found: The class of each case.
        source: Where they are from, as for :func:`settle_classes`.
    """
    counts, slips = Counter(found), {}
    for name, count in counts.items():
        others = [
            other
            for other in counts
            if counts[other] >= _MANY_MORE * count
            and _without_digits(other) != _without_digits(name)  # grade 1, grade 2
        ]
        if count <= _FEW and (close := get_close_matches(name, others, 1, _ALIKE)):
            slips[name] = close[0]
    if not slips:
        return []
    listed = [f'{n!r} {counts[n]}, {o!r} {counts[o]}' for n, o in slips.items()]
    return [
        f'classes in {source} that may be another, misspelled: {len(slips)} '
        f'({first_few(listed, 5)}). If so: label_map={slips}. With classes=[...] '
        'such a name is an error.'
    ]


def _without_digits(name: str) -> str:
    return re.sub(r'\d', '', name)


def _check_found(classes: Sequence[str], source: str, problems: Problems) -> None:
    same = spelled_alike(classes)
    example = f'{same[0][0]!r}: {same[0][1]!r}' if same else ''
    problems.found(
        f'classes in {source} that differ only in {how_alike(same)}',
        [join_alike(names) for names in same],
        f'Make them one, such as label_map={{{example}}}; or if they are different, '
        'name all with classes=[...].',
    )
    if len(classes) < 2:
        problems.add(
            f'{source} has {len(classes)} classes {[*classes]}, at least 2 are needed. '
            'Check that it is the right one, and what filters; or name all with '
            'classes=[...].'
        )
