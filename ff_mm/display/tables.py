"""The tables that the tools end with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import table as rich_table
from rich.console import Console, RenderableType
from rich.measure import Measurement

from ff_mm.display.console import duration, make_console, say, words
from ff_mm.display.numbers import overall, shown


class Table(rich_table.Table):
    """A table of rich in which text is text: no markup, no commands.

    Args:
        *headers: Of columns at the left.
        title: Above the table.
        **look: What else rich's table takes.
    """

    def __init__(self, *headers: str, title: str = '', **look: Any) -> None:
        super().__init__(title=words(title, 'table.title'), **look)
        for header in headers:
            self.add_column(header)

    def add_column(self, header: RenderableType = '', *args: Any, **look: Any) -> None:
        """Adds a column, as rich does."""
        super().add_column(_cell(header), *args, **look)

    def add_row(self, *cells: RenderableType | None, **look: Any) -> None:
        """Adds a row, as rich does."""
        super().add_row(*map(_cell, cells), **look)


def _cell(content: Any) -> Any:
    return words(content) if isinstance(content, str) else content


# Names of trials up to here leave room for the rest in 80 columns.
_SHORT = 20


def generation_table(
    entries: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
    work_dir: str | Path,
    console: Console | None = None,
    first: Sequence[str] = (),
) -> None:
    """Prints one row per trial, then what the plan cost and left behind.

    Args:
        entries: The ledger's entries of trials that are done or have failed.
        manifest: The content of ``ingredients.json``.
        work_dir: The generation's folder.
        console: Where to print; standard output by default.
        first: Metrics that come first; of the others there are as many as fit.
    """
    console = console or make_console()
    done = [entry for entry in entries if entry['state'] == 'done']
    there = overall(done[0]['metrics']) if done else []
    metrics = [name for name in first if name in there]
    least = len(metrics) or 1
    metrics += [name for name in there if name not in metrics]
    table = _trials_table(done, metrics)
    while len(metrics) > least and not _fits(table, console):
        metrics.pop()
        table = _trials_table(done, metrics)
    console.print(table)
    for entry in entries:
        if entry['state'] == 'failed':
            failure = entry['failure']
            say(
                f'{entry["id"]} is left out, {failure["kind"]}: {failure["reason"]}',
                console,
            )
    cost = manifest['cost']
    say(
        f'{len(manifest["ingredients"])} ingredients in {work_dir}/ingredients.json, '
        f'{cost["epochs"]} epochs, {duration(cost["seconds"])}',
        console,
    )
    if made_of := manifest.get('made_of'):
        before = made_of['cost']
        took = before and f'{before["epochs"]} epochs, {duration(before["seconds"])}'
        say(f'made of {made_of["pool"]}: {took or "its cost is not known"}', console)


def _trials_table(done: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """A row for each trial; names are never cut off, but go on in the next line.

    Short ones stay in one: the headers of metrics give way first.
    """
    title = "fission: validation metrics of each trial's best epoch, as fractions"
    table = Table(title=title)
    short = all(len(entry['id']) <= _SHORT for entry in done)
    table.add_column('trial', overflow='fold', no_wrap=short)
    # Spaces are where a header may go on in the next line.
    headers = [name.replace('_', ' ') for name in metrics]
    for header in ('epochs', 'best', *headers, 'models', 'time'):
        width = max(map(len, header.split(' ')))
        whole = header == 'time'
        table.add_column(
            header, justify='right', min_width=max(width, 6), no_wrap=whole
        )
    for entry in done:
        table.add_row(
            entry['id'],
            str(entry['epochs']),
            str(entry.get('best_epoch', '')),
            *(shown(entry['metrics'].get(key)) for key in metrics),
            str(len(entry['ingredients'])),
            duration(entry['seconds']),
        )
    return table


def _fits(table: Table, console: Console) -> bool:
    """Whether a table needs no second line for what is in its cells."""
    endless = console.options.update(width=10_000)
    return Measurement.get(console, endless, table).maximum <= console.width


def soup_table(
    reports: Sequence[Mapping[str, Any]], console: Console | None = None
) -> None:
    """Prints one row per soup: its metric on val, test and every OOD set.

    Args:
        reports: The contents of ``report.json``, of one pool and metric.
        console: Where to print; standard output by default.
    """
    console = console or make_console()
    metric = reports[0]['metric']
    ood = sorted({name for report in reports for name in report['ood']})
    cost = reports[0].get('generation_cost')
    fractions = '' if metric.endswith('loss') else ', as fractions'
    table = Table(title=metric + fractions)
    columns = ['model', 'val', 'test', *ood, 'ingredients', 'evaluations', 'time']
    for name in columns:
        table.add_column(name, justify='left' if name == 'model' else 'right')
    singles = [report['best_single'] for report in reports if report.get('best_single')]
    if singles and all(report['method'] != 'best' for report in reports):
        of_pool = f'1 of {reports[0]["pool_size"]}'
        table.add_row(
            'best single', *_values(singles[0], metric, ood), of_pool, '-', '-'
        )
    for report in reports:
        table.add_row(
            report['title'],
            *_values(report, metric, ood),
            f'{len(report["ingredients"])} of {report["pool_size"]}',
            str(report['evaluations']['selection'] + report['evaluations']['basins']),
            duration(report['seconds']),
        )
    console.print(table)
    if cost:
        say(
            f'the pool cost {cost["epochs"]} epochs in {cost["trials"]} trials, '
            f'{duration(cost["seconds"])}; evaluations are passes over val for '
            'selection',
            console,
        )


def _values(results: Mapping[str, Any], metric: str, ood: Sequence[str]) -> list[str]:
    """One metric on val, test and sets by name."""
    sets = [results['val'], results['test'], *(results['ood'].get(n) for n in ood)]
    return [shown((metrics or {}).get(metric)) for metrics in sets]


def evaluation_table(
    results: Mapping[str, Any], title: str, console: Console | None = None
) -> None:
    """Prints one row per set with the overall metrics of one model.

    Args:
        results: ``val``, ``test`` (may be None) and ``ood`` by name.
        title: What was evaluated.
        console: Where to print; standard output by default.
    """
    rows = {'val': results['val'], 'test': results['test'], **results['ood']}
    names, unit = overall(results['val']), 'as fractions'
    if not names:
        # MMPretrain's own are called accuracy/top1, as values of classes are with us.
        names = [k for k, v in results['val'].items() if isinstance(v, (int, float))]
        unit = "in the metrics' own units"
    table = Table('set', *names, title=f'{title}, {unit}')
    for name, metrics in rows.items():
        if metrics is not None:
            table.add_row(name, *(shown(metrics.get(key)) for key in names))
    (console or make_console()).print(table)
