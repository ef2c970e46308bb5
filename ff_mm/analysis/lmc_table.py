"""How high loss barriers are, by what the two ingredients of a pair differ in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from ff_mm.analysis.metric_values import shown
from ff_mm.analysis.progress import make_console

_FIGURES = ('mean', 'sd', 'median', 'most')


def barrier_rows(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sums up barriers, a row for each kind of difference.

    Args:
        pairs: Each with ``differ``, the kind, and ``barrier``, the values by metric.
            None and NaN are barriers that are not known; they count as pairs, but not
            for the figures. An infinite one counts.

    Returns:
        Rows for a csv file, the highest mean of the first metric first: ``differ``,
        ``pairs``, and of each metric ``<metric>_known`` (of how many pairs it is
        known), ``<metric>_mean``, ``_sd`` (of a sample; None of fewer than two values
        or if one is infinite), ``_median`` and ``_most``; None where none is known.
    """
    metrics = list(dict.fromkeys(name for pair in pairs for name in pair['barrier']))
    rows = []
    for kind in dict.fromkeys(pair['differ'] for pair in pairs):
        of_kind = [pair['barrier'] for pair in pairs if pair['differ'] == kind]
        row = {'differ': kind, 'pairs': len(of_kind)}
        for metric in metrics:
            known = [b[metric] for b in of_kind if _is_known(b.get(metric))]
            row |= {f'{metric}_{key}': v for key, v in _figures(known).items()}
        rows.append(row)
    return sorted(rows, key=lambda row: _descending(row, metrics))


def barrier_table(
    rows: Sequence[Mapping[str, Any]], title: str, console: Console | None = None
) -> None:
    """Prints the rows, with the mean ± standard deviation, median and most.

    Args:
        rows: As of :func:`barrier_rows`.
        title: Says on which set the barriers are.
        console: Where to print; standard output by default.
    """
    metrics = [
        key.removesuffix('_known') for key in (rows[0] if rows else ()) if _counts(key)
    ]
    table = Table(title=title)
    table.add_column('pairs differ in')
    table.add_column('pairs', justify='right')
    for metric in metrics:
        for name in (f'{metric}: mean', 'median', 'most'):
            table.add_column(name, justify='right')
    for row in rows:
        cells = [cell for metric in metrics for cell in _cells(row, metric)]
        table.add_row(row['differ'], str(row['pairs']), *cells)
    (console or make_console()).print(table)


def _figures(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {'known': 0, **dict.fromkeys(_FIGURES)}
    spread = len(values) > 1 and all(map(math.isfinite, values))
    return {
        'known': len(values),
        'mean': fmean(values),
        'sd': stdev(values) if spread else None,
        'median': median(values),
        'most': max(values),
    }


def _descending(row: Mapping[str, Any], metrics: Sequence[str]) -> float:
    mean = row[f'{metrics[0]}_mean'] if metrics else None
    return math.inf if mean is None else -mean


def _counts(key: str) -> bool:
    return key.endswith('_known')


def _cells(row: Mapping[str, Any], metric: str) -> list[str]:
    mean, sd, middle, most = (row[f'{metric}_{figure}'] for figure in _FIGURES)
    spread = '' if sd is None else f' ± {shown(sd)}'
    few = '' if row[f'{metric}_known'] == row['pairs'] else _known(row, metric)
    return [f'{shown(mean)}{spread}{few}', shown(middle), shown(most)]


def _known(row: Mapping[str, Any], metric: str) -> str:
    return f' (of {row[f"{metric}_known"]})'


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
