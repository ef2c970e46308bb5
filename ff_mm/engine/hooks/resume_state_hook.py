"""The state from which a killed trial goes on."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.engine.checkpoint_io import where_to_write, writer_of
from ff_mm.errors import ConfigError

_TIME = re.compile(r'(\d+(?:\.\d+)?)\s*(s|min|h)')
_UNITS = dict(s=1.0, min=60.0, h=3600.0)
_STATE = re.compile(r'state_epoch_(\d+)\.pth')


@HOOKS.register_module()
class ResumeStateHook(Hook):
    """Keeps one complete state of the run, written once an epoch is over.

    ``CheckpointHook`` saves before the epoch's validation: a run killed in between
    goes on without ever validating that epoch, and its best checkpoint, early stopping
    and snapshots differ from those of an unbroken run. This hook saves when the next
    epoch starts, when all hooks have seen the validation of the last. The state is
    copied then; the file is written while the epoch is trained, atomically and after
    the best epoch that it speaks of, and older ones are removed only after it.

    Use it with ``default_hooks=dict(checkpoint=None)``, :class:`SafeCheckpointHook`
    and :class:`EpochSeedHook`.

    Args:
        interval (int | str): Epochs between two states, or the least time, such as
            ``'3min'``, ``'90s'`` or ``'1h'``.

    Raises:
        ConfigError: Neither.
    """

    # Before any other hook changes something for the epoch that starts.
    priority = 'HIGHEST'

    def __init__(self, interval: int | str = 1) -> None:
        self.epochs, self.seconds = read_interval(interval)
        self._saved_at = time.monotonic()
        self._saved: int | None = None

    def before_train(self, runner: Runner) -> None:
        """Starts the clock."""
        self._saved_at = time.monotonic()

    def before_train_epoch(self, runner: Runner) -> None:
        """Saves the state in which the last epoch has left the run."""
        late = time.monotonic() - self._saved_at >= self.seconds
        if runner.epoch % self.epochs == 0 and late:
            self.save(runner)

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Raises what writing has met with since, such as a full disk."""
        if (writer := writer_of(runner)) is not None:
            writer.check()

    @master_only
    def save(self, runner: Runner) -> None:
        """Saves the state now, whatever the interval; a run not begun has none.

        Args:
            runner: One whose next epoch is about to start.
        """
        if runner.epoch in (0, self._saved):
            return
        name = f'state_epoch_{runner.epoch}.pth'
        if (Path(runner.work_dir) / name).exists():
            return  # the one that the run was resumed from
        runner.save_checkpoint(
            runner.work_dir,
            name,
            # The epoch is over here, while save_checkpoint expects to be called
            # before the counter moves.
            meta=dict(epoch=runner.epoch, iter=runner.iter),
            backend_args=where_to_write(runner),
        )
        self._saved, self._saved_at = runner.epoch, time.monotonic()
        remove = partial(remove_states, runner.work_dir, keep=name)
        writer = writer_of(runner)
        if writer is None:
            remove()
        else:
            writer.submit(remove)


def read_interval(interval: Any) -> tuple[int, float]:
    """Reads how often a state is to be saved.

    Args:
        interval: Epochs, or a time such as ``'3min'``.

    Returns:
        The epochs and the seconds that must both have passed.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(interval, str) and (found := _TIME.fullmatch(interval.strip())):
        return 1, float(found[1]) * _UNITS[found[2]]
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
        raise ConfigError(
            f'state_interval={interval!r}: expected a number of epochs, or a time such '
            "as '3min'"
        )
    return interval, 0.0


def save_state(runner: Runner) -> None:
    """Has a run's :class:`ResumeStateHook`, if it has one, save now, and waits for it.

    Args:
        runner: One whose next epoch is about to start.
    """
    for hook in runner.hooks:
        if isinstance(hook, ResumeStateHook):
            hook.save(runner)
    if (writer := writer_of(runner)) is not None:
        writer.wait()


def find_state(work_dir: str | Path) -> Path | None:
    """Returns the newest state in a trial's folder, or None."""
    states = {
        int(match.group(1)): path
        for path in Path(work_dir).glob('state_epoch_*.pth')
        if (match := _STATE.fullmatch(path.name))
    }
    return states[max(states)] if states else None


def remove_states(work_dir: str | Path, keep: str | None = None) -> None:
    """Removes the states in a trial's folder, but for one."""
    for path in Path(work_dir).glob('state_epoch_*.pth'):
        if path.name != keep:
            # Another process may do the same now.
            path.unlink(missing_ok=True)
