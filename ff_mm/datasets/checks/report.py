"""The table of what a config's data sets consist of, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.text import Text

from ff_mm.datasets.checks.inspection import Inspection, SetFacts
from ff_mm.display.console import duration, make_console, say, stacked, words
from ff_mm.display.tables import Table

# Of more classes only the range of counts is shown.
_MAX_CLASSES = 110

Row = Callable[[SetFacts], str | Text]


def dataset_table(
    inspection: Inspection, title: str, console: Console | None = None
) -> None:
    """Prints a row for each class and a column for each data set, then the findings.

    Args:
        inspection: What was found.
        title: What was inspected.
        console: Where to print; standard output by default.
    """
    console = console or make_console()
    if inspection.sets:
        console.print(_table(inspection, title))
        if any(found.labels.multi_label for found in inspection.sets.values()):
            say('labels: positive / negative / missing', console)
    _list(inspection.notes, 'notes', 'yellow', console)
    _list(inspection.problems, 'problems', 'red', console)
    say('', console)
    say(_summary(inspection), console)


def _table(inspection: Inspection, title: str) -> Table:
    sets = inspection.sets
    table = Table(title=title, title_justify='left')
    table.add_column('')
    for name in sets:
        table.add_column(name, justify='right')
    _add_classes(table, list(sets.values()))
    table.add_section()
    rows: dict[str, Row] = {
        'images': lambda found: str(found.labels.images),
        'groups': lambda found: str(len(found.groups) or '-'),
        'short side, px': lambda found: _range(found.sizes[:, 0]),
        'long side, px': lambda found: _range(found.sizes[:, 1]),
        'channels': _channels,
    }
    for name, row in rows.items():
        table.add_row(name, *map(row, sets.values()))
    return table


def _add_classes(table: Table, sets: Sequence[SetFacts]) -> None:
    names = max((found.labels.names for found in sets), key=len)
    if len(names) > _MAX_CLASSES:
        ranges = (_range(found.labels.positive) for found in sets)
        table.add_row(f'{len(names)} classes', *ranges)
        return
    for number, name in enumerate(names):
        table.add_row(name, *(_count(found, number) for found in sets))
    if any(found.labels.unlabelled for found in sets):
        table.add_row('no label', *(str(found.labels.unlabelled) for found in sets))


def _count(found: SetFacts, number: int) -> Text:
    labels = found.labels
    if number >= len(labels.positive):
        return words('-')
    positive = labels.positive[number]
    if labels.multi_label:
        counts = (positive, labels.negative[number], labels.missing[number])
        width = len(str(labels.images))
        text = ' / '.join(f'{count:{width}g}' for count in counts)
    else:
        share = positive / labels.images if labels.images else 0
        text = f'{positive:.0f}  {share:6.1%}'
    return words(text, '' if positive else 'yellow')


def _range(values: np.ndarray) -> str:
    """Minimum, median and maximum, or the one value that all have."""
    if not len(values):
        return '-'
    low, median, high = np.percentile(values, (0, 50, 100))
    return f'{low:g}' if low == high else f'{low:g} / {median:g} / {high:g}'


def _channels(found: SetFacts) -> Text:
    kinds = found.channels.most_common()
    if len(kinds) == 1:
        return words(kinds[0][0])
    lines = [f'{kind} {count}' for kind, count in kinds] or ['-']
    return stacked(*map(words, lines))


def _list(findings: Sequence[str], heading: str, color: str, console: Console) -> None:
    if findings:
        console.print(words(''), words(heading, f'bold {color}'), sep='\n')
    for number, finding in enumerate(findings, 1):
        say(f'  {number}. {finding}', console)


def _summary(inspection: Inspection) -> str:
    images = len({key for found in inspection.sets.values() for key in found.files})
    problems = len(inspection.problems)
    found = f'{problems or "no"} problem{"s" * (problems != 1)}'
    if not images:
        return f'{found}; no image was looked at'
    speed = images / inspection.seconds if inspection.seconds else 0
    return (
        f'{found} in {images} images, compared by their {inspection.compared_by}; '
        f'{duration(inspection.seconds)}, {speed:.0f} images a second'
    )
