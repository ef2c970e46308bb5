"""What trackers hear of a comparison, and of a fusion of fusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ff_mm.fusion.soup_tracking import pool_group
from ff_mm.tracking import TrackedRun

_COLUMNS = ('set', 'method', 'metric', 'value', 'low', 'high', 'difference', 'p')


def group_of(pools: Mapping[str, Sequence[Any]]) -> str | None:
    """Names the plan that all pools are of; None: there are several.

    Args:
        pools: Sources by name, as the config of a comparison has them.
    """
    plans = {pool_group(source) for sources in pools.values() for source in sources}
    return plans.pop() if len(plans) == 1 else None


def log_comparison(
    run: TrackedRun, comparison: Mapping[str, Any], folder: Path
) -> None:
    """Logs every method's results, the plots, and the page.

    Args:
        run: The run.
        comparison: The content of ``comparison.json``.
        folder: Where the plots and the page are.
    """
    run.table('results', _COLUMNS, _results(comparison))
    recommended = comparison['recommendation']
    if recommended:
        method = comparison['methods'][recommended['method']]
        for name, results in method['results'].items():
            run.model({m: each['value'] for m, each in results.items()}, name)
    for pattern in ('comparison_*.png', 'comparison.md', 'comparison.html'):
        run.files(folder, pattern)


def _results(comparison: Mapping[str, Any]) -> Iterator[list[Any]]:
    for method in comparison['methods'].values():
        for name, results in method['results'].items():
            for metric, it in results.items():
                difference = it.get('difference') or {}
                values = [it['value'], it['low'], it['high']]
                values += [difference.get('value'), difference.get('p')]
                yield [name, method['title'], metric, *values]
