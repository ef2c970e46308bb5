"""``report.json`` and ``report.md``: what a soup is made of and how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ff_mm.files import atomic_write, write_json

FORMAT = 1


def write_report(report: Mapping[str, Any], work_dir: str | Path) -> None:
    """Writes the report of one soup, for programs and for people.

    Args:
        report: What :meth:`ff_mm.engine.SoupRunner.run` returns. Metrics are fractions.
        work_dir: The folder to write to.
    """
    write_json(dict(format=FORMAT, **report), Path(work_dir) / 'report.json')
    with atomic_write(Path(work_dir) / 'report.md', 'w') as file:
        file.write('\n'.join(_markdown(report)) + '\n')


def _markdown(report: Mapping[str, Any]) -> Iterator[str]:
    yield f'# {report["title"]} soup'
    yield ''
    yield (
        f'Selected by {report["metric"]} on validation ({report["rule"]} is better) '
        f'from {report["pool_size"]} ingredients in {report["seconds"]:.1f} s, '
        f'{report["evaluations"]["selection"]} validation passes for the selection.'
    )
    yield ''
    yield from _metrics_table(report)
    if report['bn_reestimation']:
        bn = report['bn_reestimation']
        yield ''
        yield f'Before batch-norm re-estimation on {bn["num_samples"]} images:'
        yield ''
        yield from _metrics_table(bn['before'])
    yield ''
    yield '| ingredient | weight |'
    yield '|---|---|'
    for item in report['ingredients']:
        yield f'| {item["name"]} | {item["weight"]:.4f} |'


def _metrics_table(results: Mapping[str, Any]) -> Iterator[str]:
    rows = {'val': results['val'], 'test': results['test'], **results['ood']}
    names = list(results['val'])
    yield '| set | ' + ' | '.join(names) + ' |'
    yield '|---|' + '---|' * len(names)
    for name, metrics in rows.items():
        if metrics is not None:
            values = (f'{metrics[key]:.4f}' if key in metrics else '-' for key in names)
            yield f'| {name} | ' + ' | '.join(values) + ' |'
