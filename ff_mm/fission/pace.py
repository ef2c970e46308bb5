"""How long an epoch of a trial takes, found out by training some seconds of one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ff_mm.engine.quiet_runner import QuietRunner

# Of these the first steps are left out, in which workers start and kernels are chosen.
_WARM_UP = 2
_FEWEST = 6
# Part of the time that may go into a validation that is not seen as a whole.
_SHARE_OF_VALIDATION = 0.25


@dataclass(frozen=True)
class Pace:
    """How long a trial takes.

    Attributes:
        start: Seconds until its first step.
        epoch: Seconds to train an epoch.
        validation: Seconds of a pass over the validation set.
        steps: Of an epoch.
        seen: What was measured, in words.
        memory: Bytes of the device at most; None: there is none.
    """

    start: float
    epoch: float
    validation: float
    steps: int
    seen: str
    memory: int | None


class _Enough(Exception):
    """Ends a run of which enough was seen."""


def measure_pace(cfg: Config, seconds: float) -> Pace:
    """Trains some seconds of a trial, and throws all of it away.

    Two epochs are trained if they fit: then the second is what is told. Else steps and
    batches of validation are timed and counted up.

    Args:
        cfg: The trial's config, resolved, with a work directory for what is written.
        seconds: To train at most, and for some steps at least.
    """
    began = time.perf_counter()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    runner = QuietRunner.from_cfg(cfg)
    watch = _StopWatchHook(seconds, began)
    try:
        runner.register_hook(watch)
        runner.train()
    except _Enough:
        pass
    finally:
        runner.release()
    return watch.pace(runner)


class _StopWatchHook(Hook):
    """Times steps, validations and epochs, and ends the run when its time is over.

    Not in a registry: it is of one run alone.
    """

    priority = 'LOWEST'

    def __init__(self, seconds: float, began: float) -> None:
        self.seconds, self.began = seconds, began
        self.steps: list[float] = []
        self.epochs: list[float] = []
        self.validations: list[float] = []
        self.estimated: float | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Ends the run after an epoch, if the next would take too long."""
        self._end_epoch()
        self._epoch_began = time.perf_counter()
        if not self.epochs:
            self._first_epoch_began = self._epoch_began
        used = time.perf_counter() - self.steps[0] if self.steps else 0.0
        left = self.seconds - used
        if len(self.epochs) > 1 or (self.epochs and self.epochs[-1] > left):
            raise _Enough

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Times a step; without time for an epoch, some batches of validation."""
        self.steps.append(_now())
        over = self.steps[-1] - self.steps[0] > self.seconds
        if over and not self.epochs and len(self.steps) >= _WARM_UP + _FEWEST:
            self.estimated = self._time_validation(runner)
            raise _Enough

    def before_val_epoch(self, runner: Runner) -> None:
        """Starts the clock of a validation."""
        self._validation_began = time.perf_counter()

    def after_val_epoch(self, *_: Any, **__: Any) -> None:
        """Stops it."""
        self.validations.append(time.perf_counter() - self._validation_began)

    def after_train(self, runner: Runner) -> None:
        """Ends the last epoch."""
        self._end_epoch()

    def pace(self, runner: Runner) -> Pace:
        """What was seen."""
        steps = len(runner.train_dataloader)
        start = self.steps[0] - self.began
        memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        if self.epochs:
            validation = self.validations[-1] if self.validations else 0.0
            epoch = max(self._last_epoch() - validation, 0.0)
            seen = f'epoch {len(self.epochs)} of {steps} steps'
        else:
            used = self.steps[min(_WARM_UP, len(self.steps) - 2) :]
            step = (used[-1] - used[0]) / (len(used) - 1)
            epoch, validation = step * steps, self.estimated or 0.0
            seen = f'{len(used) - 1} of {steps} steps'
        return Pace(start, epoch, validation, steps, seen, memory or None)

    def _last_epoch(self) -> float:
        """Seconds of the last epoch; of the first without what it alone has to do."""
        if len(self.epochs) > 1 or len(self.steps) < 2:
            return self.epochs[-1]
        first = self.steps[0] - self._first_epoch_began
        other = (self.steps[-1] - self.steps[0]) / (len(self.steps) - 1)
        return self.epochs[0] - first + min(first, other)

    def _end_epoch(self) -> None:
        if self.steps and hasattr(self, '_epoch_began'):
            self.epochs.append(time.perf_counter() - self._epoch_began)

    def _time_validation(self, runner: Runner) -> float | None:
        """Seconds of a pass over the validation set, from some batches of it."""
        if (loop := runner.val_loop) is None:
            return None
        runner.model.eval()
        began, end = _now(), _SHARE_OF_VALIDATION * self.seconds
        times = [began]
        with torch.no_grad():
            for batch in loop.dataloader:
                runner.model.val_step(batch)
                times.append(_now())
                if times[-1] - began > end and len(times) > _WARM_UP + 1:
                    break
        # In the first batch workers start; in a short pass there is no other.
        used = times[1:] if len(times) > _WARM_UP else times
        return (used[-1] - used[0]) / (len(used) - 1) * len(loop.dataloader)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
