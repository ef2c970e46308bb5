"""What trackers hear of a fusion of fusions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ff_mm.comparison.fuse.findings import rows
from ff_mm.tracking import TrackedRun


def log_fusion(run: TrackedRun, found: Mapping[str, Any], folder: Path) -> None:
    """Logs what the chosen model reaches, and all fusions as a table.

    Args:
        run: The run.
        found: The content of ``report.json``.
        folder: Where ``report.md`` is.
    """
    for name, of_set in found['sets'].items():
        result = of_set['results'][found['chosen']]
        run.model({found['metric']: result['value']}, name)
    columns, lines = rows(found)
    run.table('fusions', columns, lines)
    run.files(folder, 'report.md')
