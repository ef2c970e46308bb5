"""The tables of a comparison, the first in the form of the paper's Table 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ff_mm.comparison.report.published import published, published_metric
from ff_mm.comparison.report.wording import (
    count,
    hours,
    interval,
    is_significant,
    main_set,
    metric_title,
    p_value,
    percent,
    result_of,
    sentence,
    set_title,
    signed,
    spread,
)
from ff_mm.display.numbers import shown


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says, for numbers the value.
        detail: What follows in smaller type, such as an interval.
        best: Whether it is the best of its column.
        marked: Whether it differs from the baseline (p < 0.05).
        spread: What goes with the value, such as ``'± 0.012'``.
    """

    text: str
    detail: str = ''
    best: bool = False
    marked: bool = False
    spread: str = ''


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        key: A short name, for anchors and labels.
        caption: What it shows, a sentence without full stop.
        columns: Headings. The first ``names`` columns are text, the others numbers.
        rows: As many cells as there are columns in each.
        notes: What a reader must know, a sentence each.
        names: How many columns name the row.
    """

    key: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default=())
    names: int = 1

    @property
    def alignments(self) -> list[Literal['left', 'right']]:
        """Of each column."""
        return ['left' if i < self.names else 'right' for i in range(len(self.columns))]


Comparison = Mapping[str, Any]
_ABSENT = Cell('-')
# Where models were chosen: what differs there by more than chance says nothing.
_SELECTED_ON = 'val'


def all_tables(comparison: Comparison) -> list[Table]:
    """Gives the tables that there is something to say in, the main one first."""
    tables = [
        main_table(comparison),
        difference_table(comparison),
        metrics_table(comparison),
        cost_table(comparison),
        delong_table(comparison),
        ingredients_table(comparison),
    ]
    return [table for table in tables if table.rows and len(table.columns) > 1]


def main_table(comparison: Comparison) -> Table:
    """A row a method, a column a set; ``published`` adds the paper's results.

    Raises:
        ConfigError: ``published`` names results that the paper does not have.
    """
    metric, methods = comparison['metric'], comparison['methods']
    sets = comparison['sets']
    cells = [_result_cells(comparison, name) for name in sets]
    headings = ['method', *map(set_title, sets)]
    if comparison['published']:
        headings.append('paper, test')
        cells.append(_published_cells(comparison))
    titles = [Cell(method['title']) for method in methods.values()]
    return Table(
        key='main',
        caption=f'{sentence(metric_title(metric))} with '
        f'{percent(comparison["confidence"])} '
        'intervals',
        columns=headings,
        rows=list(zip(titles, *cells, strict=True)),
        notes=list(_main_notes(comparison)),
    )


def difference_table(comparison: Comparison) -> Table:
    """A row a method but the baseline; difference and p value on each unseen set."""
    metric, baseline = comparison['metric'], comparison['baseline']
    sets = [name for name in comparison['sets'] if name != _SELECTED_ON]
    headings = ['method']
    for name in sets:
        headings += [set_title(name), 'p']
    rows = []
    for key, method in comparison['methods'].items():
        if key == baseline:
            continue
        rows.append([Cell(method['title'])])
        for name in sets:
            values = result_of(method, name, metric).get('difference')
            rows[-1] += _difference_cells(values)
    return Table(
        key='differences',
        caption=f'Difference in {metric_title(metric)} to '
        f'{comparison["methods"][baseline]["title"]}, with '
        f'{percent(comparison["confidence"])} intervals and two-sided p values',
        columns=headings,
        rows=rows,
        notes=[
            'The bootstrap is paired: all methods are evaluated on the same resampled '
            'cases. The p values are not corrected for the number of comparisons.'
        ],
    )


def metrics_table(comparison: Comparison) -> Table:
    """A row a method, a column for each metric but the main one, on test."""
    name = main_set(comparison)
    others = dict.fromkeys(
        metric
        for method in comparison['methods'].values()
        for metric in method['results'].get(name, {})
        if metric != comparison['metric']
    )
    return Table(
        key='metrics',
        caption=f'All other metrics on {set_title(name)}',
        columns=['method', *map(metric_title, others)],
        rows=[
            [
                Cell(method['title']),
                *(_estimate(result_of(method, name, metric)) for metric in others),
            ]
            for method in comparison['methods'].values()
        ],
        notes=[_mark_note(comparison)] if others else [],
    )


_COSTS: dict[str, tuple[str, str, Callable[[float], str]]] = {
    'trials': ('generation', 'trials', count),
    'epochs': ('generation', 'epochs', count),
    'training, h:min': ('generation', 'seconds', hours),
    'training images': ('generation', 'images', count),
    'selection, s': ('selection', 'seconds', lambda seconds: f'{seconds:,.1f}'),
    'selection passes': ('selection', 'passes', count),
    'selection images': ('selection', 'images', count),
    'models': ('inference', 'models', count),
    'parameters, M': ('inference', 'parameters', lambda n: f'{n / 1e6:,.2f}'),
    'MB': ('inference', 'bytes', lambda n: f'{n / 1e6:,.1f}'),
}


def cost_table(comparison: Comparison) -> Table:
    """A row a method: what generation, selection and inference cost."""
    return Table(
        key='cost',
        caption='Cost of generation, of selection, and at inference',
        columns=['method', *_COSTS],
        rows=[
            [Cell(method['title']), *_cost_cells(method['cost'])]
            for method in comparison['methods'].values()
        ],
        notes=[
            'Generation is that of the whole pool, however much of it went into the '
            'model; methods of one pool share it. All are means over the runs.'
        ],
    )


def delong_table(comparison: Comparison) -> Table:
    """A row a set, class and method: AUROC after DeLong, and the difference."""
    rows = [
        _delong_row(comparison, name, entry)
        for name, entries in (comparison['delong'] or {}).items()
        for entry in entries
    ]
    return Table(
        key='delong',
        caption='AUROC of each class against the rest after DeLong, with '
        f'{percent(comparison["confidence"])} intervals',
        columns=['set', 'class', 'method', 'AUROC', 'difference', 'p'],
        rows=rows,
        notes=[
            'A cross-check of the bootstrap, on the first run of each method; where '
            'cases come in groups, with the covariance of Obuchowski (1997).'
        ],
        names=3,
    )


def ingredients_table(comparison: Comparison) -> Table:
    """A row a model: what went into it and with which weight."""
    rows = []
    for method in comparison['methods'].values():
        for number, run in enumerate(method['runs']):
            items = run['ingredients']
            used = f'{len(items)} of {run["pool_size"]}'
            contents = ', '.join(map(_ingredient, items))
            row = (method['title'], str(number), run['file'] or '-', used, contents)
            rows.append([Cell(text) for text in row])
    return Table(
        key='ingredients',
        caption='What is in each model, with weights',
        columns=['method', 'run', 'file', 'used', 'ingredients'],
        rows=rows,
        names=5,
    )


def _ingredient(item: Mapping[str, Any]) -> str:
    # What was merged, and not added, has no weight.
    weight = item['weight']
    return item['name'] if weight is None else f'{item["name"]} ({weight:.4g})'


def _result_cells(comparison: Comparison, set_name: str) -> list[Cell]:
    methods = comparison['methods'].values()
    results = [result_of(it, set_name, comparison['metric']) for it in methods]
    values = [
        result.get('value') if method['models'] == 1 else None
        for result, method in zip(results, methods, strict=True)
    ]
    cells = map(_estimate, results, _best(values, comparison['rule']))
    if set_name == _SELECTED_ON:
        return [replace(cell, marked=False) for cell in cells]
    return list(cells)


def _best(values: Sequence[float | None], rule: str) -> list[bool]:
    """Which are the best, equal ones as they are shown included."""
    known = [round(value, 4) for value in values if value is not None]
    if not known:
        return [False] * len(values)
    best = max(known) if rule == 'greater' else min(known)
    return [value is not None and round(value, 4) == best for value in values]


def _estimate(result: Mapping[str, Any], best: bool = False) -> Cell:
    if result.get('value') is None:
        return _ABSENT
    return Cell(
        shown(result['value']),
        interval(result),
        best,
        is_significant(result.get('difference')),
        spread(result),
    )


def _difference_cells(values: Mapping[str, Any] | None) -> list[Cell]:
    if values is None or values['value'] is None:
        return [_ABSENT, _ABSENT]
    marked = is_significant(values)
    return [
        Cell(signed(values['value']), interval(values, '+'), marked=marked),
        Cell(p_value(values['p'])),
    ]


def _published_cells(comparison: Comparison) -> list[Cell]:
    values = published(**comparison['published'])
    found = [values.get(name) for name in comparison['methods']]
    best = _best(found, 'greater')
    return [
        _ABSENT if value is None else Cell(f'{value:.4f}', best=is_best)
        for value, is_best in zip(found, best, strict=True)
    ]


def _main_notes(comparison: Comparison) -> Iterator[str]:
    yield _mark_note(comparison)
    methods = comparison['methods'].values()
    if any(method['models'] > 1 for method in methods):
        yield 'Bold: the best of the methods that leave one model.'
    else:
        yield 'Bold: the best.'
    if any(len(method['runs']) > 1 for method in methods):
        yield 'After several runs: their mean ± standard deviation.'
    if _SELECTED_ON in comparison['sets']:
        yield ('Models were chosen on val: its values are too good, and never marked.')
    if comparison['published']:
        yield _published_note(comparison)


def _mark_note(comparison: Comparison) -> str:
    baseline = comparison['methods'][comparison['baseline']]['title']
    return f'*: p < 0.05 against {baseline}.'


def _published_note(comparison: Comparison) -> str:
    backbone, dataset = (comparison['published'][k] for k in ('backbone', 'dataset'))
    metric, inferred = published_metric(dataset)
    return (
        f'Paper: {metric_title(metric)} of {backbone} on {dataset} '
        '(FissionFusion, arXiv 2403.13341, Table 1 and appendix A1)'
        + (', the metric is inferred' if inferred else '')
        + ('.' if metric == comparison['metric'] else ': not the metric of this table.')
    )


def _cost_cells(cost: Mapping[str, Any]) -> Iterator[Cell]:
    for part, key, write in _COSTS.values():
        value = (cost.get(part) or {}).get(key)
        yield _ABSENT if value is None else Cell(write(value))


def _delong_row(
    comparison: Comparison, set_name: str, entry: Mapping[str, Any]
) -> list[Cell]:
    title = comparison['methods'][entry['method']]['title']
    names = [Cell(set_title(set_name)), Cell(entry['class']), Cell(title)]
    area = dict(value=entry['auroc'], low=entry['low'], high=entry['high'])
    difference = dict(
        value=entry['difference'],
        low=entry['difference_low'],
        high=entry['difference_high'],
        p=entry['p'],
    )
    return [*names, _estimate(area), *_difference_cells(difference)]
