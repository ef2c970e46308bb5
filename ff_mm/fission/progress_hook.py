"""Tells the plan's progress display what a trial has done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

if TYPE_CHECKING:
    from ff_mm.fission.progress import PlanProgress

_KEY = 'seconds'


class ProgressHook(Hook):
    """Reports every epoch, and counts the seconds over interruptions.

    An epoch that is validated is reported after its validation, with the metrics; one
    that is not, when the next begins.

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
        self._reported = runner.epoch

    def before_train_epoch(self, runner: Runner) -> None:
        """Reports the epoch before, if no validation has."""
        if runner.epoch > self._reported:
            self._report(runner, {})

    def after_train_iter(
        self, runner: Runner, batch_idx: int, *_: Any, **__: Any
    ) -> None:
        """Says how far the epoch is."""
        self.progress.within_epoch((batch_idx + 1) / len(runner.train_dataloader))

    def after_train_epoch(self, runner: Runner) -> None:
        """Counts, before the state is saved that a resumed run counts on from."""
        self._count(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Reports the epoch just validated."""
        self._count(runner)
        self._report(runner, metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Reports the end of the trial, which may come early."""
        self._count(runner)
        if runner.epoch > self._reported:
            self._report(runner, {})
        self.progress.end_trial()

    def add(self, seconds: float) -> None:
        """Counts seconds of an interrupted run."""
        self._start -= seconds

    def _report(self, runner: Runner, metrics: dict) -> None:
        self._reported = runner.epoch
        self.progress.end_epoch(runner.epoch, metrics)

    def _count(self, runner: Runner) -> None:
        seconds = time.perf_counter() - self._start
        runner.message_hub.update_info(_KEY, seconds)


def note(runner: Runner, text: str) -> None:
    """Says a line to the user, if there is a display, and to the log."""
    runner.logger.info(text)
    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.progress.note(text)


def add_seconds(runner: Runner, seconds: float) -> None:
    """Counts seconds of an interrupted run of which there is no state."""
    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.add(seconds)


def seconds_spent(runner: Runner) -> float:
    """Seconds of training and validation, those of interrupted runs included."""
    return runner.message_hub.get_info(_KEY) or 0.0
