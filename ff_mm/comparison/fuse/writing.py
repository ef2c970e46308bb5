"""``report.json`` and ``report.md`` of a fusion, and what is printed in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ff_mm.comparison.fuse.findings import rows, rows_beside
from ff_mm.comparison.report.wording import metric_title
from ff_mm.display.console import make_console, say
from ff_mm.display.escaping import markdown
from ff_mm.display.tables import Table
from ff_mm.files import atomic_write, write_json


def write_fuse_report(found: Mapping[str, Any], work_dir: Path) -> None:
    """Writes the report, for programs and for people.

    Args:
        found: What :class:`ff_mm.comparison.fuse.FuseRunner` has found.
        work_dir: Where to.
    """
    write_json(found, work_dir / 'report.json')
    with atomic_write(work_dir / 'report.md', 'w') as file:
        file.write('\n'.join(_markdown(found)) + '\n')


def fuse_table(found: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints all fusions, what is expected, and what to deploy.

    Args:
        found: What :class:`ff_mm.comparison.fuse.FuseRunner` has found.
        console: Where to print; standard output by default.
    """
    console = console or make_console()
    title = f'{metric_title(found["metric"])}, as fractions'
    tables = {title: rows(found), 'other metrics': rows_beside(found)}
    for title, (columns, lines) in tables.items():
        table = Table(*columns, title=title)
        for line in lines:
            table.add_row(*line)
        if lines:
            console.print(table)
    for sentence in found['text']:
        say(sentence, console)
    say(found['closing'], console)


def _markdown(found: Mapping[str, Any]) -> Iterator[str]:
    yield '# The one model'
    yield ''
    yield f'**{markdown(found["closing"])}**'
    yield ''
    for sentence in found['text']:
        yield f'- {markdown(sentence)}'
    yield ''
    yield f'{markdown(metric_title(found["metric"]))}, with intervals:'
    yield ''
    yield from _table(*rows(found))
    beside = rows_beside(found)
    if beside[1]:
        yield 'Other metrics:'
        yield ''
        yield from _table(*beside)
    yield (
        'Validation has chosen between the fusions, cross-fitted where a decision was '
        'fitted; other sets have chosen nothing. What is expected comes of choosing '
        'between the same models on parts of validation: how each model was made '
        '(which ingredients went in) has looked at all of it, so a little of the '
        'optimism is left in.'
    )
    yield ''
    yield '| fusion | file |'
    yield '|---|---|'
    for fusion in found['fusions'].values():
        yield f'| {markdown(fusion["title"])} | {markdown(fusion["file"])} |'


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield '| ' + ' | '.join(map(markdown, columns)) + ' |'
    yield '|---' * len(columns) + '|'
    for line in lines:
        yield '| ' + ' | '.join(map(markdown, line)) + ' |'
    yield ''
