"""A run that is no training: a plan as a whole, a soup, a comparison, an analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mmengine.config import Config

from ff_mm.display.numbers import overall
from ff_mm.tracking.tracker import MODEL, Tracker


class TrackedRun:
    """One run on all trackers that a config asks for; without any, nothing happens.

    Use it as a context: the run has ended as it should unless an exception comes out.

    Args:
        trackers: Of the run.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for tracker in self._trackers:
            tracker.finished = error is None
            tracker.close()

    def begin(self, cfg: Config, say: Callable[[str], None]) -> None:
        """Begins the run, before any work.

        Args:
            cfg: What is kept of it.
            say: Takes lines for the user: where to look.

        Raises:
            ConfigError: A tracker cannot be used.
        """
        for tracker in self._trackers:
            tracker.open()
            tracker.add_config(cfg)
            say(f'logged to {tracker.title}: {tracker.where()}')

    def model(
        self, metrics: Mapping[str, Any], set_name: str = 'val', step: int = 0
    ) -> None:
        """Adds what a model reaches, as ``model/<set>/<metric>``.

        Args:
            metrics: As fractions; those of single classes are left out.
            set_name: ``'val'``, ``'test'``, ``'ood/<name>'``.
            step: The epoch of training after which it is, if it is of one.
        """
        values = {
            f'{MODEL}/{set_name}/{name}': metrics[name] for name in overall(metrics)
        }
        for tracker in self._trackers:
            tracker.add_scalars(values, step)

    def table(
        self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> None:
        """Adds a table, see :meth:`ff_mm.tracking.tracker.Tracker.add_table`."""
        kept = [list(row) for row in rows]
        for tracker in self._trackers:
            tracker.add_table(name, columns, kept)

    def files(self, folder: Path, pattern: str) -> None:
        """Adds plots (``.png``) and reports (``.md``, ``.html``) that are there.

        Args:
            folder: Where they are, perhaps in folders of it.
            pattern: Which, as of ``Path.glob``.
        """
        for path in sorted(folder.glob(pattern)):
            name = path.relative_to(folder).with_suffix('').as_posix()
            for tracker in self._trackers:
                tracker.add_file(name, path)
