"""What ``tools/compare.py`` ends with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ff_mm.comparison.report.tables import Cell, main_table
from ff_mm.display.console import make_console, say


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
    # Text, since titles are users' own and may look like rich's markup.
    shown = RichTable(title=Text(f'{comparison["title"]}: {table.caption}'))
    for name, alignment in zip(table.columns, table.alignments, strict=True):
        shown.add_column(Text(name), justify=alignment)
    for row in table.rows:
        shown.add_row(*map(_text, row))
    console.print(shown)
    for note in table.notes:
        say(note, console)
    if recommendation := comparison['recommendation']:
        say('', console)
        for sentence in recommendation['text']:
            say(sentence, console)
        say(f'File: {recommendation["file"]}', console)


def _text(cell: Cell) -> Text:
    mark = '*' if cell.marked else ''
    text = Text(cell.text + mark, style='bold' if cell.best else '')
    if cell.spread:
        text.append(f' {cell.spread}')
    # The interval below the value: a terminal is narrower than the table.
    return (
        text.append(f'\n{cell.detail}', style='not bold dim') if cell.detail else text
    )
