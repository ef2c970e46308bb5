"""The state from which a killed trial goes on."""

from __future__ import annotations

import re
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

_STATE = re.compile(r'state_epoch_(\d+)\.pth')


@HOOKS.register_module()
class ResumeStateHook(Hook):
    """Keeps one complete state of the run, written once an epoch is over.

    ``CheckpointHook`` saves before the epoch's validation: a run killed in between
    goes on without ever validating that epoch, and its best checkpoint, early stopping
    and snapshots differ from those of an unbroken run. This hook saves when the next
    epoch starts, when all hooks have seen the validation of the last. The file is
    written atomically, and older ones are removed only after it.

    Use it with ``default_hooks=dict(checkpoint=None)``, :class:`SafeCheckpointHook`
    and :class:`EpochSeedHook`.

    Args:
        interval (int): Epochs between two states.
    """

    # Before any other hook changes something for the epoch that starts.
    priority = 'HIGHEST'

    def __init__(self, interval: int = 1) -> None:
        self.interval = interval

    def before_train_epoch(self, runner: Runner) -> None:
        """Saves the state in which the last epoch has left the run."""
        if runner.epoch % self.interval == 0:
            self.save(runner)

    @master_only
    def save(self, runner: Runner) -> None:
        """Saves the state now, whatever the interval; a run not begun has none.

        Args:
            runner: One whose next epoch is about to start.
        """
        if runner.epoch == 0:
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
            backend_args=dict(backend='atomic'),
        )
        remove_states(runner.work_dir, keep=name)


def save_state(runner: Runner) -> None:
    """Has a run's :class:`ResumeStateHook`, if it has one, save now.

    Args:
        runner: One whose next epoch is about to start.
    """
    for hook in runner.hooks:
        if isinstance(hook, ResumeStateHook):
            hook.save(runner)


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
