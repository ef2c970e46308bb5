"""The checkpoint at every minimum of the cyclical learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner, ValLoop

from ff_mm.datasets.checks.truth import meta_of
from ff_mm.engine.ingredient_file import model_weights, write_ingredient
from ff_mm.engine.schedulers import CyclicalParamScheduler
from ff_mm.errors import ConfigError


@LOOPS.register_module()
class SnapshotValLoop(ValLoop):
    """:class:`ValLoop` that passes over epochs without a snapshot.

    The metrics of a fission's other epochs decide nothing: its schedule alone says
    which weights are kept. Use it as ``val_cfg=dict(type='SnapshotValLoop')`` together
    with :class:`SnapshotHook`, and leave ``train_cfg.val_interval`` at 1.

    Args:
        *args: Those of :class:`mmengine.runner.ValLoop`.
        **kwargs: Those of :class:`mmengine.runner.ValLoop`.

    Attributes:
        epochs: Those to validate, counted from 1; :class:`SnapshotHook` sets them
            before training. None: whenever the loop is run.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epochs: Sequence[int] | None = None

    def run(self) -> dict[str, float]:
        """Validates, if the epoch just trained ends in a snapshot.

        Returns:
            The metrics; none for an epoch that is passed over, of which no hook hears.
        """
        if self.epochs is not None and self.runner.epoch not in self.epochs:
            return {}
        return super().run()


_KEY = 'snapshots'


@HOOKS.register_module()
class SnapshotHook(Hook):
    """Saves an ingredient at the end of each epoch in which a minimum is reached.

    The minima are those of the run's cyclical schedule
    (:meth:`CyclicalParamScheduler.minima_between`), counted in steps; the file holds
    the weights and, in its meta, the validation metrics of the epoch. It does not
    matter whether the run was resumed, or whether the last minimum falls on its end.

    Args:
        out_dir (str): Where to write; relative to the run's work directory.
        name (str): Name of the ingredients; ``_cycle<n>`` is added.
        meta (dict): What to write into each file's meta besides ``cycle``, ``epoch``
            and ``metrics``: the hyper-parameters, the parent.
    """

    # After the hooks that may still change the model at the end of an epoch.
    priority = 'VERY_LOW'

    def __init__(
        self,
        out_dir: str = 'ingredients',
        name: str = 'snapshot',
        meta: dict[str, Any] | None = None,
    ) -> None:
        self.out_dir = out_dir
        self.name = name
        self.meta = meta or {}

    def before_train(self, runner: Runner) -> None:
        """Checks, before any training, that each minimum will be seen.

        Raises:
            ConfigError: No cyclical schedule, training that is not by epoch, a
                schedule that ends before its first minimum, two minima in one epoch,
                or an epoch with a minimum that is not validated.
        """
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            raise ConfigError('SnapshotHook needs train_cfg=dict(by_epoch=True)')
        self.scheduler = find_cyclical_scheduler(runner)
        epochs = self.snapshot_epochs(runner)
        if not epochs:
            raise ConfigError(
                f'no minimum of the cycle falls within {runner.max_epochs} epochs: '
                'train longer or shorten the cycle'
            )
        if len(set(epochs)) < len(epochs):
            raise ConfigError(
                'the cycle reaches two minima within one epoch, and snapshots are '
                'taken at the ends of epochs: lengthen the cycle'
            )
        unseen = [e for e in epochs if not _is_validated(loop, e)]
        if runner.val_loop is None or unseen:
            raise ConfigError(
                f'epochs {unseen or epochs} end a cycle but are not validated: '
                'set train_cfg.val_interval=1'
            )
        if isinstance(runner.val_loop, SnapshotValLoop):
            runner.val_loop.epochs = epochs

    def snapshot_epochs(self, runner: Runner) -> list[int]:
        """The epochs, from 1, at whose ends the run takes a snapshot."""
        return [
            epoch
            for epoch in range(1, runner.max_epochs + 1)
            for _ in self._minima_of(epoch, runner)
        ]

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Saves the snapshot if the epoch just validated reached a minimum."""
        for cycle in self._minima_of(runner.epoch, runner):
            self._save(runner, cycle, dict(metrics or {}))

    def _minima_of(self, epoch: int, runner: Runner) -> list[int]:
        length = 1 if self.scheduler.by_epoch else len(runner.train_dataloader)
        return self.scheduler.minima_between((epoch - 1) * length, epoch * length)

    @master_only
    def _save(self, runner: Runner, cycle: int, metrics: dict[str, float]) -> None:
        name = f'{self.name}_cycle{cycle}'
        record = write_ingredient(
            Path(runner.work_dir) / self.out_dir / f'{name}.pth',
            model_weights(runner.model),
            dict(self.meta, name=name, cycle=cycle, epoch=runner.epoch),
            metrics,
            dataset_meta=meta_of(runner.train_dataloader.dataset),
        )
        add_snapshot(runner, record)


def add_snapshot(runner: Runner, record: dict) -> None:
    """Takes note of an ingredient that the run has written."""
    # In the message hub, so that it is resumed together with the weights.
    runner.message_hub.update_info(_KEY, [*snapshots(runner), record])


def snapshots(runner: Runner) -> list[dict]:
    """Returns the records of the ingredients that the run has written, in order."""
    return runner.message_hub.get_info(_KEY) or []


def find_cyclical_scheduler(runner: Runner) -> CyclicalParamScheduler:
    """Returns the run's cyclical schedule.

    Raises:
        ConfigError: There is none, or more than one.
    """
    schedulers = runner.param_schedulers
    if isinstance(schedulers, dict):
        schedulers = [s for group in schedulers.values() for s in group]
    found = [s for s in schedulers or [] if isinstance(s, CyclicalParamScheduler)]
    if len(found) != 1:
        raise ConfigError(
            f'SnapshotHook needs exactly one CyclicalLR in param_scheduler, got '
            f'{len(found)}'
        )
    return found[0]


def _is_validated(loop: EpochBasedTrainLoop, epoch: int) -> bool:
    due = epoch % loop.val_interval == 0 or epoch == loop.max_epochs
    return due and epoch >= loop.val_begin
