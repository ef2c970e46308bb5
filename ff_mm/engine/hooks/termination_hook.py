"""Ending a training run on SIGTERM so that as little as possible is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from ff_mm.engine.distributed import any_rank, is_time_to_agree
from ff_mm.engine.hooks.resume_state_hook import save_state
from ff_mm.engine.hooks.snapshot_hook import SnapshotValLoop
from ff_mm.parallel.stuck import going_on
from ff_mm.parallel.termination import Terminated, request, requested_at


class EnduringWorker:
    """How a data worker starts that only its main process can terminate.

    SLURM sends SIGTERM to every process of a step, torchrun to every process of a
    group. A data worker that dies of it takes the main process along, which could have
    finished its epoch. The main process ends its workers when it ends, and workers end
    by themselves when it is gone.

    Args:
        initialise: What the worker did so far when it starts.
    """

    def __init__(self, initialise: Callable[[int], None] | None) -> None:
        self.initialise = initialise

    def __call__(self, worker_id: int) -> None:
        """Starts the worker, in its own process."""
        # Python's handlers do not tell who sent a signal, and torch has set one that
        # dies of it; what is blocked can be waited for, with its sender.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey, args=(os.getppid(),), daemon=True).start()
        if self.initialise is not None:
            self.initialise(worker_id)


def make_workers_endure(loader: DataLoader) -> None:
    """Has a data loader start :class:`EnduringWorker` s, where the system can.

    Args:
        loader: One that has not started any worker yet, or has been seen before.
    """
    can = hasattr(signal, 'sigwaitinfo')  # not on macOS and Windows
    if can and not isinstance(loader.worker_init_fn, EnduringWorker):
        loader.worker_init_fn = EnduringWorker(loader.worker_init_fn)


def _obey(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


@HOOKS.register_module()
class TerminationHook(Hook):
    """Stops training after SIGTERM: when the epoch is over, if there is time for it.

    If the epoch in progress will end within the grace period, at the pace it has had,
    and its validation too, it is carried on with; when the next one starts the state
    is saved as :class:`ResumeStateHook` does, whatever its interval, and nothing is
    lost. Else training ends with the running iteration, and what is lost is what came
    after the last state. A validation that will not end in time is broken off as well,
    but for that of several ranks, which may have different numbers of batches.

    Ranks stop in the same iteration, or those that go on would wait for the others
    for ever; how much time there is, is rank 0's to say.

    It acts within :func:`ff_mm.parallel.termination.deferred`; without, SIGTERM does
    what it did. The data workers of the run are made to outlive the signal, see
    :class:`ff_mm.engine.hooks.termination_hook.EnduringWorker`.

    Args:
        grace (float): Seconds from the signal within which the epoch must be over.
            Leave some of what there is for saving: SLURM kills after ``KillWait`` (30
            by default) or the partition's ``GraceTime``, torchrun after 30.
        interval (int): Iterations between two agreements of the ranks.

    Raises:
        ValueError: ``grace`` is negative, or ``interval`` less than 1.
    """

    # As ResumeStateHook: before any hook changes something for the next epoch.
    priority = 'HIGHEST'

    def __init__(self, grace: float = 20.0, interval: int = 10) -> None:
        if not grace >= 0:
            raise ValueError(f'grace={grace!r}: expected seconds, at least 0')
        if interval < 1:
            raise ValueError(f'interval={interval!r}: expected at least 1')
        self.grace = grace
        self.interval = interval
        # By time.monotonic(); until when the epoch must be over, once SIGTERM came.
        self._deadline: float | None = None
        self._began = 0.0
        self._validation_seconds = 0.0

    def before_train(self, runner: Runner) -> None:
        """Prepares the data workers, before any is started."""
        for loop in (runner.train_loop, runner.val_loop):
            if isinstance(loop, BaseLoop) and loop.dataloader.num_workers:
                make_workers_endure(loop.dataloader)

    def before_train_epoch(self, runner: Runner) -> None:
        """Saves the state and stops, if SIGTERM came in the epoch before.

        Raises:
            Terminated: On all ranks.
        """
        going_on()
        self._began = time.monotonic()
        if self._is_requested():
            save_state(runner)
            barrier()  # launchers may end all ranks with the first that ends
            raise Terminated

    def after_train_iter(
        self, runner: Runner, batch_idx: int, *_: Any, **__: Any
    ) -> None:
        """Stops, if SIGTERM came and the epoch would take too long.

        Raises:
            Terminated: On all ranks.
        """
        going_on()
        if not is_time_to_agree(batch_idx, self.interval) or not self._is_requested():
            return
        if any_rank(is_main_process() and self._is_too_long(runner, batch_idx + 1)):
            raise Terminated

    def before_val_epoch(self, runner: Runner) -> None:
        """Starts the clock of the validation."""
        self._began = time.monotonic()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, *_: Any, **__: Any
    ) -> None:
        """Stops, if SIGTERM came and the validation would take too long.

        Raises:
            Terminated: Only without a process group.
        """
        going_on()
        if get_world_size() > 1 or not self._is_requested():
            return
        if self._is_late(batch_idx + 1, len(runner.val_dataloader)):
            raise Terminated

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Remembers how long the validation took."""
        self._validation_seconds = time.monotonic() - self._began

    def after_train(self, runner: Runner) -> None:
        """Lets all ranks know of a signal in the last epoch."""
        self._is_requested()

    def _is_requested(self) -> bool:
        if self._deadline is None and any_rank(requested_at() is not None):
            request()  # as it may have come to another rank alone
            self._deadline = (requested_at() or time.monotonic()) + self.grace
        return self._deadline is not None

    def _is_too_long(self, runner: Runner, done: int) -> bool:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return True  # its epoch is the whole run
        validates = not _passes_over(runner.val_loop, runner.epoch + 1)
        after = self._validation_seconds if validates else 0.0
        return self._is_late(done, len(runner.train_dataloader), after)

    def _is_late(self, done: int, total: int, after: float = 0.0) -> bool:
        now = time.monotonic()
        left = (now - self._began) / done * (total - done)
        return self._deadline is not None and now + left + after > self._deadline


def _passes_over(loop: BaseLoop | None, epoch: int) -> bool:
    epochs = loop.epochs if isinstance(loop, SnapshotValLoop) else None
    return epochs is not None and epoch not in epochs
