"""Columns of which each is a class, and exactly one is 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ff_mm.datasets.tables.table_file import plain

_TRUE = ('1', 'true')
_FALSE = ('0', 'false')


def hot_column(cells: Mapping[str, str], columns: Sequence[str]) -> str:
    """Gives the one column that is 1 where all others are 0, else ''."""
    words = {name: plain(cells[name]).lower() for name in columns}
    hot = [name for name, word in words.items() if word in _TRUE]
    rest = all(word in (*_TRUE, *_FALSE) for word in words.values())
    return hot[0] if len(hot) == 1 and rest else ''


def why_not_hot(cells: Mapping[str, str], columns: Sequence[str]) -> str:
    """Says what is wrong with a row of which :func:`hot_column` finds nothing."""
    words = {name: plain(cells[name]).lower() for name in columns}
    for name, word in words.items():
        if word not in (*_TRUE, *_FALSE):
            return f'{name}={cells[name]!r}'
    hot = [name for name, word in words.items() if word in _TRUE]
    return ' and '.join(hot) or 'none'
