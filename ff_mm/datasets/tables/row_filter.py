"""Taking some rows of a table by what stands in their cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.tables.table_file import Row, is_number
from ff_mm.errors import ConfigError
from ff_mm.plain import first_few

_KEYS = ('min', 'max', 'exclude')


@dataclass(frozen=True)
class Condition:
    """What a cell must be for its row to stay.

    Attributes:
        only: The values that stay; None: all.
        exclude: Those that do not.
        min: The least number that stays; None: no bound.
        max: The greatest.
    """

    only: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    min: float | None = None
    max: float | None = None

    @property
    def is_range(self) -> bool:
        """Whether only numbers can fulfil it."""
        return self.min is not None or self.max is not None

    @property
    def named(self) -> frozenset[str]:
        """All values that it names."""
        return self.exclude | (self.only or frozenset())

    def holds(self, cell: str) -> bool:
        """Whether a cell fulfils it. Of a range an empty cell is no part."""
        value = _value(cell)
        if value in self.exclude or (self.only is not None and value not in self.only):
            return False
        if not self.is_range:
            return True
        if not is_number(cell):
            return False
        low = self.min is None or float(cell) >= self.min
        return low and (self.max is None or float(cell) <= self.max)


def read_filter(given: Mapping[str, Any]) -> dict[str, Condition]:
    """Reads a filter as a config has it.

    Args:
        given: Column -> the value to keep, a list of such values, or
            ``dict(min=..., max=..., exclude=...)``, of which any may be left out.
            Values are compared as text, numbers as numbers: ``1`` is ``1.0``.

    Returns:
        Column -> condition. All must hold for a row to stay.

    Raises:
        ConfigError: A condition that is none of these.
    """
    return {str(column): _condition(column, value) for column, value in given.items()}


def select_rows(
    rows: Sequence[Row],
    conditions: Mapping[str, Condition],
    source: str,
    problems: Problems,
) -> list[Row]:
    """Takes the rows that fulfil all conditions.

    Args:
        rows: Of a table, with the columns of the conditions.
        conditions: Column -> condition.
        source: The table, for messages.
        problems: Takes a note of values that occur in no row, which are mostly
            misspelled, and of cells that should be numbers and are not.
    """
    for column, condition in conditions.items():
        cells = [row.cells[column] for row in rows]
        present = {_value(cell) for cell in cells}
        problems.found(
            f'values of the filter that column {column!r} of {source} does not have',
            sorted(repr(value) for value in condition.named - present),
            f'It has {first_few(map(repr, sorted(set(cells))), 10)}.',
        )
        if condition.is_range:
            problems.found(
                f'cells of column {column!r} of {source} that are not numbers',
                [
                    f'{row.place}: {cell!r}'
                    for row, cell in zip(rows, cells, strict=True)
                    if cell and not is_number(cell)
                ],
                'Correct the table, or filter by another column.',
            )
    return [
        row
        for row in rows
        if all(c.holds(row.cells[column]) for column, c in conditions.items())
    ]


def _condition(column: str, given: Any) -> Condition:
    if not isinstance(given, Mapping):
        return Condition(only=_values(given))
    bounds = {key: given[key] for key in ('min', 'max') if key in given}
    known = set(given) <= set(_KEYS)
    if not given or not known or not all(_is_bound(b) for b in bounds.values()):
        raise ConfigError(
            f'table.filter[{column!r}]={dict(given)}: expected a value, a list of '
            'values, or dict(min=number, max=number, exclude=[...])'
        )
    return Condition(exclude=_values(given.get('exclude', ())), **bounds)


def _is_bound(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _values(given: Any) -> frozenset[str]:
    many = given if isinstance(given, (list, tuple)) else [given]
    return frozenset(_value(str(value)) for value in many)


def _value(cell: str) -> str:
    """Gives what to compare: text as it is, all spellings of a number as one."""
    cell = cell.strip()
    return f'{float(cell):.15g}' if is_number(cell) else cell
