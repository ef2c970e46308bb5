"""``comparison.md``: the tables and the recommendation as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from ff_mm.comparison.report.tables import Cell, Table
from ff_mm.comparison.report.wording import metric_title

# What would end a cell or become markup. Underscores inside words are left alone.
_ESCAPES = str.maketrans(
    {c: f'\\{c}' for c in '\\|*`<>[]'} | {'\n': ' ', '\r': ' ', '&': '&amp;'}
)


def to_markdown(comparison: Mapping[str, Any], tables: Sequence[Table]) -> str:
    """Writes a comparison for people who read text.

    Args:
        comparison: As in ``comparison.json``.
        tables: Its tables.
    """
    return '\n'.join(_lines(comparison, tables)) + '\n'


def _lines(comparison: Mapping[str, Any], tables: Sequence[Table]) -> Iterator[str]:
    yield f'# {escape(comparison["title"])}'
    yield ''
    yield f'Compared by {escape(metric_title(comparison["metric"]))}.'
    yield ''
    if recommendation := comparison['recommendation']:
        yield '## Recommendation'
        yield ''
        for sentence in recommendation['text']:
            yield f'- {escape(sentence)}'
        yield f'- File: {escape(recommendation["file"])}'
    for table in tables:
        yield ''
        yield f'## {escape(table.caption)}'
        yield ''
        yield markdown_table(table)
        for note in table.notes:
            yield ''
            yield escape(note)


def markdown_table(table: Table) -> str:
    """Writes one table as a pipe table."""
    return tabulate(
        [[_cell(cell) for cell in row] for row in table.rows],
        headers=[escape(name) for name in table.columns],
        tablefmt='pipe',
        colalign=table.alignments,
        disable_numparse=True,
    )


def escape(text: str) -> str:
    """Makes text that means nothing but itself in Markdown, on one line."""
    return text.translate(_ESCAPES)


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    text = f'**{text}**' if cell.best else text
    mark = r'\*' if cell.marked else ''
    return ' '.join(
        filter(None, (text + mark, escape(cell.spread), escape(cell.detail)))
    )
