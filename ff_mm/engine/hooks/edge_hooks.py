"""Hooks that shorten what lies between two epochs of training."""

from __future__ import annotations

from mmengine.dataset import DefaultSampler
from mmengine.hooks import DistSamplerSeedHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner

from ff_mm.cores import local_processes
from ff_mm.engine.data_loaders import EarlyLoader, KeepingLoader
from ff_mm.engine.hooks.epoch_seed_hook import EpochSeedHook
from ff_mm.engine.hooks.view_seed_hook import ViewSeedHook


@HOOKS.register_module()
class EarlyWorkersHook(Hook):
    """Has data workers load the next epoch's first images during validation.

    Else they idle until validation is over, and the device then waits for them. What an
    epoch sees is the same: order, seeds and views are announced before they begin, as
    they are when the epoch starts. It does so only where MMEngine's sampler, or one
    that draws like it by seed and epoch alone, decides what comes.
    """

    # After the hooks that prepare data sets and loaders, before those that use them up.
    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        """Takes the data loader, before it has been iterated over."""
        self._loader: EarlyLoader | None = None
        loader = runner.train_dataloader
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and isinstance(loader.sampler, DefaultSampler):
            self._loader = EarlyLoader.take(loader)

    def before_val(self, runner: Runner) -> None:
        """Has workers begin, if another epoch is to come."""
        loop = runner.train_loop
        if self._loader is None or loop.stop_training or loop.epoch >= loop.max_epochs:
            return
        for hook in runner.hooks:
            if isinstance(hook, EpochSeedHook):
                hook.announce(runner)
            elif isinstance(hook, (DistSamplerSeedHook, ViewSeedHook)):
                hook.before_train_epoch(runner)
        self._loader.begin()

    def after_train(self, runner: Runner) -> None:
        """Ends workers that have begun with an epoch that does not come."""
        if self._loader is not None:
            self._loader.stop()


@HOOKS.register_module()
class KeptValidationHook(Hook):
    """Keeps the images of validation in memory, for the epochs and runs to come.

    They are those of the first validation, batch by batch, so that metrics are the
    same; see :class:`ff_mm.engine.data_loaders.KeepingLoader`.

    Args:
        memory (int): Bytes that they may take, in all processes of a machine together.
    """

    priority = 'HIGH'

    def __init__(self, memory: int) -> None:
        self.memory = memory

    def before_train(self, runner: Runner) -> None:
        """Takes the data loader, before it has been iterated over."""
        config = runner.cfg.get('val_dataloader')
        if runner.val_loop is not None and isinstance(config, dict):
            memory = int(self.memory) // local_processes()
            KeepingLoader.take(runner.val_loop.dataloader, config, memory)
