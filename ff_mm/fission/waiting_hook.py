"""Says when training waits for its images."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ff_mm.cores import allowed_cores

# Share of an epoch, and seconds: less is not worth a word.
_SHARE, _SECONDS = 0.1, 1.0


class WaitingHook(Hook):
    """Says after an epoch which share of it training has waited for data.

    In the log of the run each time, to the user once. A GPU stands still meanwhile; the
    start of an epoch counts, too, when no image has been read yet.

    Not in a registry: it speaks to whoever has made it.

    Args:
        tell: Takes a line for the user.
    """

    priority = 'LOWEST'

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def before_train_epoch(self, runner: Runner) -> None:
        """Starts the clock."""
        self._began = self._free = time.perf_counter()
        self._waited = 0.0

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Stops waiting: a batch is there."""
        self._waited += time.perf_counter() - self._free

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Starts waiting for the next batch."""
        self._free = time.perf_counter()

    def after_train_epoch(self, runner: Runner) -> None:
        """Says the share, if it is worth a word."""
        share = self._waited / max(time.perf_counter() - self._began, 1e-9)
        if share <= _SHARE or self._waited <= _SECONDS:
            return
        workers = runner.train_dataloader.num_workers
        line = (
            f'training waits for data, {100 * share:.0f} % of epoch {runner.epoch + 1}'
            f' ({workers} data workers, {allowed_cores()} cores): cache_images=True, '
            'more cores, or more train_dataloader.num_workers'
        )
        runner.logger.info(line)
        self._tell(line)
