"""``comparison.csv``: every number in a row of its own, for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ff_mm.comparison.report.published import published, published_metric
from ff_mm.display.csv_file import csv_text

COLUMNS = (
    'method',
    'title',
    'pool',
    'soup',
    'models',
    'set',
    'metric',
    'run',
    'value',
    'sd',
    'low',
    'high',
    'baseline',
    'difference',
    'difference_low',
    'difference_high',
    'p',
)
Row = dict[str, Any]


def to_csv(comparison: Mapping[str, Any]) -> str:
    """Writes a tidy table: one value a row, numbers in full.

    Its column ``run`` is ``mean`` for the mean over runs with its interval and
    difference, a number from 0 for a single run, and ``published`` for the paper's
    value. What is not known is empty.

    Args:
        comparison: As in ``comparison.json``.
    """
    return csv_text(COLUMNS, _rows(comparison))


def _rows(comparison: Mapping[str, Any]) -> Iterator[Row]:
    known = _published_values(comparison)
    for name, method in comparison['methods'].items():
        about = {key: method[key] for key in ('title', 'pool', 'soup', 'models')}
        about['method'] = name
        for row in _means(method, comparison['baseline']):
            yield about | row
        for row in _runs(method):
            yield about | row
        if name in known:
            yield about | known[name]


def _means(method: Mapping[str, Any], baseline: str) -> Iterator[Row]:
    for set_name, results in method['results'].items():
        for metric, result in results.items():
            row = dict(set=set_name, metric=metric, run='mean')
            row |= {key: result.get(key) for key in ('value', 'sd', 'low', 'high')}
            if difference := result.get('difference'):
                row |= dict(
                    baseline=baseline,
                    difference=difference['value'],
                    difference_low=difference['low'],
                    difference_high=difference['high'],
                    p=difference['p'],
                )
            yield row


def _runs(method: Mapping[str, Any]) -> Iterator[Row]:
    for number, run in enumerate(method['runs']):
        for set_name, metrics in run['metrics'].items():
            for metric, value in metrics.items():
                if value is None or isinstance(value, (int, float)):
                    yield dict(set=set_name, metric=metric, run=number, value=value)


def _published_values(comparison: Mapping[str, Any]) -> dict[str, Row]:
    if not comparison['published']:
        return {}
    metric, _ = published_metric(comparison['published']['dataset'])
    row = dict(set='test', metric=metric, run='published')
    values = published(**comparison['published'])
    return {name: row | dict(value=value) for name, value in values.items()}
