"""Tells the plan's progress display what a trial has done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mmengine.hooks import Hook
from mmengine.runner import Runner

if TYPE_CHECKING:
    from ff_mm.analysis.progress import PlanProgress

_KEY = 'seconds'


class ProgressHook(Hook):
    """Reports every epoch, and counts the seconds over interruptions.

    Not in a registry: it carries a live display.

    Args:
        progress: The display of the whole plan.
        trial_id: The trial that runs.
    """

    priority = 'LOWEST'

    def __init__(self, progress: PlanProgress, trial_id: str) -> None:
        self.progress = progress
        self.trial_id = trial_id

    def before_train(self, runner: Runner) -> None:
        """Starts the clock where an interrupted run left it."""
        self._start = time.perf_counter() - (runner.message_hub.get_info(_KEY) or 0.0)
        self.progress.start_trial(self.trial_id, runner.epoch, runner.max_epochs)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Reports the epoch just validated."""
        self._count(runner)
        self.progress.end_epoch(runner.epoch, metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Reports the end of the trial, which may come early."""
        self._count(runner)
        self.progress.end_trial()

    def _count(self, runner: Runner) -> None:
        seconds = time.perf_counter() - self._start
        runner.message_hub.update_info(_KEY, seconds)


def seconds_spent(runner: Runner) -> float:
    """Seconds of training and validation, those of interrupted runs included."""
    return runner.message_hub.get_info(_KEY) or 0.0
