"""``comparison.tex``: the tables for a paper, with booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tabulate import DataRow, Line, TableFormat, tabulate

from ff_mm.comparison.report.tables import Cell, Table
from ff_mm.display.escaping import latex as escape

# The format of tabulate's own name would escape what makes cells bold.
_BOOKTABS = TableFormat(
    lineabove=lambda _, alignments: (
        '\\begin{tabular}{' + ''.join(a[0] for a in alignments) + '}\n\\toprule'
    ),
    linebelowheader=Line(r'\midrule', '', '', ''),
    linebetweenrows=None,
    linebelow=Line('\\bottomrule\n\\end{tabular}', '', '', ''),
    headerrow=DataRow('', ' & ', r' \\'),
    datarow=DataRow('', ' & ', r' \\'),
    padding=0,
    with_header_hide=None,
)
# Keeps an interval with the value above it and not with the one below.
_SPACED = _BOOKTABS._replace(linebetweenrows=Line(r'\addlinespace[3pt]', '', '', ''))
#: Columns of numbers that fit side by side; more go into a block below.
_WIDTH = 6
#: Rows that fit on a page; longer tables are left to the page and the text.
_HEIGHT = 40


def to_latex(comparison: Mapping[str, Any], tables: Sequence[Table]) -> str:
    r"""Writes the tables as floats that need nothing but ``\usepackage{booktabs}``.

    The list of ingredients is left out, and what is longer than a page.

    Args:
        comparison: As in ``comparison.json``.
        tables: Its tables.
    """
    kept = [t for t in tables if t.key != 'ingredients' and len(t.rows) <= _HEIGHT]
    floats = [latex_table(table, comparison['title']) for table in kept]
    return '\n'.join([r'% Needs \usepackage{booktabs}.', *floats])


def latex_table(table: Table, title: str) -> str:
    """Writes one table with caption and label.

    Args:
        table: The table.
        title: Of the comparison, for the caption and for a label of its own.
    """
    caption = f'{table.caption}, {title}. {" ".join(table.notes)}'.strip()
    return '\n'.join(
        [
            r'\begin{table}[tbp]',
            r'\centering\footnotesize',
            r'\setlength{\tabcolsep}{4pt}',
            rf'\caption{{{escape(caption)}}}',
            rf'\label{{tab:{_label(title)}-{table.key}}}',
            r'\smallskip',
            '',
            '\n\n\\medskip\n'.join(_blocks(table)),
            r'\end{table}',
            '',
        ]
    )


def _number(text: str) -> str:
    """The text with signs for minus, where there are hyphens before digits."""
    return re.sub(r'(?<![^\[ ])-(?=\d)', '$-$', text)


def _label(title: str) -> str:
    return ''.join(c if c.isascii() and c.isalnum() else '-' for c in title)


def _blocks(table: Table) -> Iterator[str]:
    """Tabulars of some of the columns each; the names of the rows lead them all."""
    numbers = range(table.names, len(table.columns))
    has_intervals = any(cell.detail for row in table.rows for cell in row)
    for first in range(table.names, len(table.columns), _WIDTH):
        columns = [*range(table.names), *numbers[first - table.names :][:_WIDTH]]
        yield tabulate(
            [[_cell(row[i]) for i in columns] for row in table.rows],
            headers=[escape(table.columns[i]) for i in columns],
            tablefmt=_SPACED if has_intervals else _BOOKTABS,
            colalign=[table.alignments[i] for i in columns],
            disable_numparse=True,
        )


def _cell(cell: Cell) -> str:
    text = _number(escape(cell.text))
    # After a line's end these would be LaTeX's own.
    text = f'{{}}{text}' if text.startswith(('[', '*')) else text
    text = rf'\textbf{{{text}}}' if cell.best else text
    text += '*' if cell.marked else ''
    text += f' {escape(cell.spread)}' if cell.spread else ''
    if not cell.detail:
        return text
    # The interval below the value, so that several sets fit on a page. In braces,
    # since a bracket after a line's end is LaTeX's extra space.
    below = rf'{{\scriptsize {_number(escape(cell.detail))}}}'
    return rf'\begin{{tabular}}[t]{{@{{}}r@{{}}}}{text}\\{below}\end{{tabular}}'
