"""Has a trial stop before it writes what is another process's to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class OwnershipHook(Hook):
    """Asks whose the trial is before each moment at which something is written.

    A process that slept for long counts as dead, and another trains its trial. What it
    would still write, states, the best epoch and snapshots, would take the place of
    what the other has written: on a GPU other bytes under a recorded SHA-256.

    Not in a registry: it asks a live ledger. It must be the first of a run's hooks.

    Args:
        require: Raises :class:`ff_mm.parallel.dispatch.TakenOverError`, on all ranks,
            if the trial is another's.
    """

    def __init__(self, require: Callable[[], None]) -> None:
        self._require = require

    def before_train(self, runner: Runner) -> None:
        """Before the weights are written that the run starts from."""
        self._require()

    def before_train_epoch(self, runner: Runner) -> None:
        """Before the state is written."""
        self._require()

    def after_train(self, runner: Runner) -> None:
        """Before averages are written."""
        self._require()

    def after_val_epoch(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Before the best epoch and snapshots are written."""
        self._require()
