"""What trackers hear of a soup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ff_mm.display.numbers import overall
from ff_mm.merging.scorer import Step
from ff_mm.tracking import TrackedRun

_DECISIONS = ('candidate', 'score', 'no better than', 'best so far', 'kept', 'reason')


def pool_group(source: Any) -> str | None:
    """Names the plan that a pool is of, beside whose trials a soup then stands.

    Args:
        source: The pool, as a config has it.

    Returns:
        The folder of its ``ingredients.json``; None: it is something else.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix == '.json':
        return Path(source).resolve().parent.name
    return None


def log_soup(
    run: TrackedRun, report: Mapping[str, Any], steps: Sequence[Step], folder: Path
) -> None:
    """Logs what a soup reaches, what it is made of, and each decision on the way.

    Args:
        run: The run.
        report: The content of ``report.json``.
        steps: The decisions.
        folder: Where ``report.md`` is.
    """
    for name, metrics in _sets(report):
        run.model(metrics, name)
    run.table('decisions', _DECISIONS, map(_decision, steps))
    parts = [(each['name'], each['weight']) for each in report['ingredients']]
    run.table('ingredients', ['ingredient', 'weight'], parts)
    if single := report.get('best_single'):
        columns = ['set', 'metric', report['title'], 'best single']
        run.table('metrics', columns, _against(report, single))
    run.files(folder, 'report.md')


def _sets(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The metrics of each set that there is, by what it is called elsewhere."""
    for name in ('val', 'test'):
        if results[name] is not None:
            yield name, results[name]
    for name, metrics in results['ood'].items():
        yield f'ood/{name}', metrics


def _decision(step: Step) -> list[Any]:
    kept = 'yes' if step.accepted else 'no'
    return [step.candidate, step.score, step.bound, step.best, kept, step.reason]


def _against(
    report: Mapping[str, Any], single: Mapping[str, Any]
) -> Iterator[list[Any]]:
    """A row for each set and metric: of the soup, and of the best single model."""
    of_single = dict(_sets(single))
    for name, metrics in _sets(report):
        for metric in overall(metrics):
            beside = of_single.get(name, {}).get(metric)
            yield [name, metric, metrics[metric], beside]
