"""What trackers hear of a plan as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ff_mm.display.figures import save_figure
from ff_mm.display.numbers import overall
from ff_mm.fission.pool_plot import pool_plot, pool_rows
from ff_mm.tracking import Tracking
from ff_mm.tracking.tracking import PLAN


def log_plan(
    tracking: Tracking,
    entries: Sequence[Mapping[str, Any]],
    manifest: Mapping[str, Any],
    work_dir: Path,
    metric: str,
) -> None:
    """Logs the table of the trials, and a plot of the models.

    Args:
        tracking: The trackers.
        entries: Of the ledger, in the order of the plan.
        manifest: The content of ``ingredients.json``.
        work_dir: The plan's.
        metric: The one that selects, which is drawn.
    """
    if not tracking:
        return
    with tracking.run(PLAN, PLAN) as run, tempfile.TemporaryDirectory() as folder:
        columns, *rows = _trials(entries)
        run.table('trials', columns, rows)
        models = pool_rows(manifest, work_dir)
        drawn = [r for r in models if 'lr' in r and r.get(metric) is not None]
        if drawn:  # models of folds have no metric in common
            stem = Path(folder) / 'models_by_learning_rate'
            save_figure(pool_plot(drawn, metric), stem, ['png'])
            run.files(Path(folder), '*.png')


def _trials(entries: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """The headers, and a row for each trial."""
    done = [entry for entry in entries if entry['state'] == 'done']
    settings = list(dict.fromkeys(key for e in entries for key in e['hyper']))
    metrics = overall(done[0]['metrics']) if done else []
    yield ['trial', 'stage', *settings, 'state', 'epochs', 'best epoch', *metrics, 's']
    for entry in entries:
        reached = entry.get('metrics') or {}
        yield [
            entry['id'],
            entry['stage'],
            *map(entry['hyper'].get, settings),
            entry['state'],
            entry.get('epochs'),
            entry.get('best_epoch'),
            *map(reached.get, metrics),
            entry.get('seconds'),
        ]
