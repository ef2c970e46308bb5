"""The tables and the recommendation as text: ``comparison.md``, and on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from tabulate import tabulate

from ff_mm.comparison.report.tables import Cell, Table, main_table
from ff_mm.comparison.report.wording import metric_title
from ff_mm.display.console import make_console, say, stacked, words
from ff_mm.display.escaping import markdown as escape
from ff_mm.display.tables import Table as PrintedTable


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


def comparison_table(
    comparison: Mapping[str, Any], console: Console | None = None
) -> None:
    """Prints the main table and the recommendation.

    Args:
        comparison: As in ``comparison.json``.
        console: Where to print; standard output by default.
    """
    console = console or make_console()
    table = main_table(comparison)
    print_table(table, f'{comparison["title"]}: {table.caption}', console)
    if recommendation := comparison['recommendation']:
        say('', console)
        for sentence in recommendation['text']:
            say(sentence, console)
        say(f'File: {recommendation["file"]}', console)


def print_table(table: Table, title: str, console: Console) -> None:
    """Prints a table and its notes.

    Args:
        table: The table.
        title: What stands above it.
        console: Where to print.
    """
    shown = PrintedTable(title=title)
    for name, alignment in zip(table.columns, table.alignments, strict=True):
        shown.add_column(name, justify=alignment)
    for row in table.rows:
        shown.add_row(*map(_in_terminal, row))
    console.print(shown)
    for note in table.notes:
        say(note, console)


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    text = f'**{text}**' if cell.best else text
    mark = r'\*' if cell.marked else ''
    return ' '.join(
        filter(None, (text + mark, escape(cell.spread), escape(cell.detail)))
    )


def _in_terminal(cell: Cell) -> Text:
    mark = '*' if cell.marked else ''
    spread = f' {cell.spread}' if cell.spread else ''
    text = words(cell.text + mark + spread, 'bold' if cell.best else '')
    # The interval below the value: a terminal is narrower than the table.
    return stacked(text, words(cell.detail, 'dim')) if cell.detail else text
