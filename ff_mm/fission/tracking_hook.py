"""Marks in the trackers of a trial which epochs leave a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ff_mm.engine.hooks.best_checkpoint_hook import best_epoch
from ff_mm.engine.hooks.snapshot_hook import snapshots
from ff_mm.tracking import TrackedRun, Tracker


class TrackingHook(Hook):
    """Logs what each model reaches that is kept, at the epoch after which it is.

    All else (losses, learning rate, metrics of every epoch) MMEngine's ``LoggerHook``
    tells the trackers. Without trackers it does nothing.

    Not in a registry: a trial has one.
    """

    # After the hooks that keep the models.
    priority = 'LOWEST'

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Says from where on a resumed run tells all anew."""
        for tracker in self._trackers(runner):
            tracker.add_begin(runner.iter + 1)

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Marks the snapshot that was taken now."""
        for record in snapshots(runner):
            if record['epoch'] == runner.epoch:
                self._log(runner, record)

    def after_train(self, runner: Runner) -> None:
        """Marks the best epoch; the run has ended as it should."""
        best = best_epoch(runner)
        if best is not None and not snapshots(runner):
            self._log(runner, best)
        for tracker in self._trackers(runner):
            tracker.finished = True

    @master_only
    def _log(self, runner: Runner, model: Mapping[str, Any]) -> None:
        run = TrackedRun(self._trackers(runner))
        run.model(model['metrics'], step=model['epoch'])

    @staticmethod
    def _trackers(runner: Runner) -> list[Tracker]:
        backends = runner.visualizer._vis_backends.values()
        return [backend for backend in backends if isinstance(backend, Tracker)]
