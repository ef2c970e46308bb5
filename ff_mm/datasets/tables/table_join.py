"""Putting columns of a second table beside those of the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ff_mm.datasets.errors import Problems, as_names, repeated
from ff_mm.datasets.files.finding import without_extension
from ff_mm.datasets.tables.table_file import Row, plain
from ff_mm.errors import ConfigError
from ff_mm.plain import first_few

Key = tuple[str, ...]


@dataclass(frozen=True)
class Join:
    """Which table to put beside the first, and which rows belong together.

    Attributes:
        file: The other table.
        ours: Columns of the first.
        theirs: The columns of the other that say the same.
    """

    file: str
    ours: Key
    theirs: Key


def read_joins(given: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Join]:
    """Reads ``table.join`` of a config.

    Raises:
        ConfigError: It is none.
    """
    return [_read_join(one) for one in ([given] if _is_map(given) else given or ())]


def _is_map(given: Any) -> bool:
    return isinstance(given, Mapping) and bool(given)


def _read_join(given: Any) -> Join:
    example = "table.join=dict(file='metadata.csv', on='image')"
    if not isinstance(given, Mapping) or set(given) != {'file', 'on'}:
        raise ConfigError(f'table.join={given!r}: expected {example}')
    on = given['on']
    ours = as_names(on if on else ())
    theirs = tuple(on.values()) if isinstance(on, Mapping) else ours
    if not ours or not all(map(_is_text, (given['file'], *ours, *theirs))):
        raise ConfigError(
            f'table.join={dict(given)}: on is a column, a list of columns, or a dict '
            f'from those of the first table to those of the other: {example}'
        )
    return Join(given['file'], ours, theirs)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def join_rows(
    rows: Sequence[Row],
    others: Sequence[Row],
    join: Join,
    wanted: Sequence[str],
    problems: Problems,
) -> tuple[list[Row], list[str]]:
    """Puts the cells of another table into rows.

    Cells that are compared are so as numbers are (1 is 1.0); a name of an image may
    have its extension or not.

    Args:
        rows: Of the first table.
        others: Of the other, with all its columns.
        join: Which belong together.
        wanted: The columns to take, where the first table does not have them.
        problems: Takes a note of keys that are there twice, of none that is found, and
            of columns in which the two tables do not say the same.

    Returns:
        The rows, with empty cells where the other table has none, and notes. No rows
        where none belong together.
    """
    keys = [_key(row, join.theirs) for row in others]
    by_key = {key: row for key, row in zip(keys, others, strict=True) if all(key)}
    problems.found(
        f'rows of {join.file!r} that say the same in {", ".join(join.theirs)}',
        repeated('/'.join(key) for key in keys if all(key)),
        'Leave one row for each, or name more columns with table.join.',
    )
    stems = Counter(map(_stem, by_key))
    by_stem = {_stem(k): row for k, row in by_key.items() if stems[_stem(k)] == 1}
    ours = [_key(row, join.ours) for row in rows]
    found = [by_key.get(key) or by_stem.get(_stem(key)) for key in ours]
    if not any(found):
        first, other = '/'.join(ours[0]), '/'.join(keys[0])
        problems.add(
            f'No row of {join.file!r} belongs to any of the table: '
            f'{", ".join(join.ours)} is {first!r}, {", ".join(join.theirs)} there is '
            f'{other!r}. Check table.join.'
        )
        return [], []
    there = rows[0].cells.keys()
    _check_common(rows, found, [w for w in wanted if w in there], join, problems)
    new = [w for w in wanted if w not in there and w in others[0].cells]
    joined = [
        row._replace(
            cells={**row.cells, **{n: other.cells[n] if other else '' for n in new}}
        )
        for row, other in zip(rows, found, strict=True)
    ]
    lost = [row.place for row, other in zip(rows, found, strict=True) if not other]
    if not lost:
        return joined, []
    return joined, [
        f'{len(lost)} of {len(rows)} rows have none in {join.file!r} '
        f'({first_few(lost, 5)}); their cells of {", ".join(new)} are empty.'
    ]


def _check_common(
    rows: Sequence[Row],
    found: Sequence[Row | None],
    columns: Sequence[str],
    join: Join,
    problems: Problems,
) -> None:
    for column in columns:
        if column in join.ours:
            continue
        problems.found(
            f'rows in which {join.file!r} has another {column!r}',
            [
                f'{row.place}: {row.cells[column]!r} and {other.cells[column]!r}'
                for row, other in zip(rows, found, strict=True)
                if other
                and column in other.cells
                and plain(other.cells[column]) != plain(row.cells[column])
            ],
            'Rename the column in one of the two.',
        )


def _key(row: Row, columns: Sequence[str]) -> Key:
    return tuple(plain(row.cells[column]) for column in columns)


def _stem(key: Key) -> Key:
    return tuple(map(without_extension, key))
