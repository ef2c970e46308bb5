"""The tables and sentences of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ff_mm.comparison.report.tables import Cell, Table
from ff_mm.comparison.report.wording import count, metric_title, percent, sentence
from ff_mm.comparison.study.setting import SELECTED
from ff_mm.comparison.study.study import DOMAINS, WAYS

DOMAIN_TITLES = {'test': 'in-domain', 'ood': 'out of distribution'}
_ABSENT = Cell('-')
_UNIT = (
    'In points, which are hundredths; above 0 a method is better than the baseline, of '
    'losses too.'
)


def of_metric(metric: str) -> str:
    """How a metric is called, that of selection as such."""
    return 'selected metric' if metric == SELECTED else metric_title(metric)


def all_tables(study: Mapping[str, Any]) -> list[Table]:
    """Gives the tables that there is something to say in, the main one first."""
    tables = [main_table(study, domain) for domain in DOMAINS]
    tables += [metrics_table(study, domain) for domain in DOMAINS]
    tables += [settings_table(study, domain) for domain in DOMAINS]
    return [table for table in [*tables, cost_table(study)] if table.rows]


def rivals(study: Mapping[str, Any], domain: str) -> dict[str, Mapping[str, Any]]:
    """The methods but the baseline of which a domain has results, by name."""
    return {
        name: method
        for name, method in study['methods'].items()
        if method['results'].get(domain)
    }


def main_table(study: Mapping[str, Any], domain: str) -> Table:
    """A row a method: the selected metric over settings."""
    rows = []
    for method in rivals(study, domain).values():
        result = method['results'][domain].get(SELECTED)
        if result is None:
            continue
        worst = result['worst']
        rows.append(
            [
                Cell(method['title']),
                Cell(str(len(result['settings']))),
                _estimate(result),
                Cell(interval(result['fixed'])),
                Cell(str(result['worse'])),
                Cell(points(result['settings'][worst]['value']), worst),
            ]
        )
    confidence = percent(study['confidence'])
    return Table(
        key=f'selected-{domain}',
        caption=f'{sentence(DOMAIN_TITLES[domain])}: better than {_baseline(study)} by '
        'the selected metric',
        columns=[
            'method',
            'settings',
            f'mean, {confidence} over settings, seeds and cases',
            'over seeds and cases alone',
            f'worse by more than {100 * study["margin"]:g} points',
            'worst',
        ],
        rows=rows,
        notes=[
            f'{_UNIT} *: the interval over settings leaves 0 out. Intervals are not '
            'corrected for the number of methods.'
        ],
    )


def metrics_table(study: Mapping[str, Any], domain: str) -> Table:
    """A row a method: other metrics over settings, and the way to the ensemble."""
    methods = rivals(study, domain)
    metrics = [
        metric
        for metric in study['metrics']
        if metric != SELECTED
        and any(metric in method['results'][domain] for method in methods.values())
    ]
    ways = list(WAYS) if study['ensemble'] else []
    rows = [
        [
            Cell(method['title']),
            *(_estimate(method['results'][domain].get(metric)) for metric in metrics),
            *(_way(method['way'][domain].get(metric)) for metric in ways),
        ]
        for method in methods.values()
    ]
    notes = [_UNIT]
    if ways:
        title = study['methods'][study['ensemble']]['title']
        notes.append(
            f'Way: which part of the gain of {title} over {_baseline(study)} a method '
            'has, of means over settings; nothing where there is no gain.'
        )
    return Table(
        key=f'metrics-{domain}',
        caption=f'{sentence(DOMAIN_TITLES[domain])}: better than {_baseline(study)} by '
        'other metrics',
        columns=[
            'method',
            *map(of_metric, metrics),
            *(f'way in {of_metric(metric)}' for metric in ways),
        ],
        rows=rows if metrics else [],
        notes=notes,
    )


def settings_table(study: Mapping[str, Any], domain: str) -> Table:
    """A row a method, a column a setting: the selected metric."""
    found = {
        name: method['results'][domain][SELECTED]['settings']
        for name, method in rivals(study, domain).items()
        if SELECTED in method['results'][domain]
    }
    settings = [
        setting
        for setting in study['settings']
        if any(setting['name'] in results for results in found.values())
    ]
    return Table(
        key=f'settings-{domain}',
        caption=f'{sentence(DOMAIN_TITLES[domain])}: each setting by its metric',
        columns=[
            'method',
            *(f'{s["name"]}, {metric_title(s["metric"])}' for s in settings),
        ],
        rows=[
            [
                Cell(study['methods'][name]['title']),
                *(_estimate(results.get(setting['name'])) for setting in settings),
            ]
            for name, results in found.items()
        ],
        notes=['Intervals of one setting are those of its comparison.'],
    )


def cost_table(study: Mapping[str, Any]) -> Table:
    """A row a method: what it takes, on the mean over settings."""
    columns = {
        'epochs of the pool': ('generation', 'epochs'),
        'training, s': ('generation', 'seconds'),
        'selection passes': ('selection', 'passes'),
        'selection images': ('selection', 'images'),
        'selection, s': ('selection', 'seconds'),
        'models': ('inference', 'models'),
    }
    rows = [
        [
            Cell(method['title']),
            *(
                Cell(count(_rounded((method['cost'].get(part) or {}).get(key))))
                for part, key in columns.values()
            ),
        ]
        for method in study['methods'].values()
    ]
    notes = [
        'Means over settings and runs. Methods of one pool share its epochs; those of '
        'a pool before it, as of the teacher of a student, come on top.'
    ]
    return Table('cost', 'Cost', ['method', *columns], rows, notes)


def sentences(study: Mapping[str, Any]) -> Iterator[str]:
    """What a study comes to, in plain sentences."""
    number = len(study['settings'])
    yield (
        f'{number} setting{"s" * (number != 1)}: '
        + ', '.join(
            f'{s["name"]} ({metric_title(s["metric"])}, runs: {s["runs"]})'
            for s in study['settings']
        )
        + f'. Baseline: {_baseline(study)}.'
    )
    for domain in DOMAINS:
        yield from _findings(study, domain)
    yield (
        'The interval over settings draws data sets, seeds and cases. It is coarse: it '
        f'knows {number} data set{"s" * (number != 1)}, chosen and not drawn, '
        'and is rather too narrow. The one over seeds and cases alone holds for '
        'these data sets only.'
    )


def _findings(study: Mapping[str, Any], domain: str) -> Iterator[str]:
    results = {
        method['title']: method['results'][domain][SELECTED]
        for method in rivals(study, domain).values()
        if SELECTED in method['results'][domain]
    }
    if not results:
        return
    where = sentence(DOMAIN_TITLES[domain])
    above = {t: r for t, r in results.items() if (r['low'] or 0) > 0}
    below = {t: r for t, r in results.items() if (r['high'] or 0) < 0}
    here = {
        t: r
        for t, r in results.items()
        if (r['fixed']['low'] or 0) > 0 and t not in above
    }
    if above:
        yield f'{where}, above 0 over settings: {_listed(above)}.'
    else:
        yield f'{where}, no method is above 0 over settings.'
    if here:
        fixed = {t: dict(value=r['value'], **r['fixed']) for t, r in here.items()}
        yield f'{where}, above 0 in these settings only: {_listed(fixed)}.'
    if below:
        yield f'{where}, below 0 over settings: {_listed(below)}.'


def _listed(results: Mapping[str, Mapping[str, Any]]) -> str:
    return '; '.join(
        f'{title} {points(result["value"])} {interval(result)}'
        for title, result in results.items()
    )


def points(value: float, sign: str = '+') -> str:
    """``0.0123`` as ``'+1.23'``."""
    # Adding 0 leaves a zero without a minus.
    return f'{round(100 * value, 2) + 0.0:{sign}.2f}'


def interval(values: Mapping[str, Any]) -> str:
    """``'[-0.40, +1.20]'`` in points, and nothing where it is not known."""
    low, high = values['low'], values['high']
    known = low is not None and high is not None
    return f'[{points(low)}, {points(high)}]' if known else ''


def _baseline(study: Mapping[str, Any]) -> str:
    return study['methods'][study['baseline']]['title']


def _estimate(result: Mapping[str, Any] | None) -> Cell:
    if result is None:
        return _ABSENT
    low, high = result['low'], result['high']
    marked = low is not None and high is not None and (low > 0 or high < 0)
    return Cell(points(result['value']), interval(result), marked=marked)


def _way(result: Mapping[str, Any] | None) -> Cell:
    if result is None:
        return _ABSENT
    ends = [result['low'], result['high']]
    known = [f'{100 * end:.0f}' for end in ends if end is not None]
    detail = f'[{", ".join(known)}]' if len(known) == 2 else ''
    return Cell(f'{100 * result["value"]:.0f} %', detail)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
