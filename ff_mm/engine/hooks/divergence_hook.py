"""Stopping a run that has diverged, before anything of it is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ff_mm.engine.distributed import any_rank, is_time_to_agree
from ff_mm.errors import TrialDiverged

_KEY = 'losses_not_finite'


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Ends training once the loss, or a weight, is no number any more.

    A loss is NaN or infinite in ``patience`` consecutive iterations, not in one:
    with mixed precision an overflow is part of the method, ``AmpOptimWrapper``'s
    ``GradScaler`` passes over that step, lowers its scale, and training recovers. How
    many there were is in the message hub, so that a resumed run counts on.

    Weights and buffers are looked at when an epoch has been trained, before it is
    validated and anything is saved. A step that was passed over leaves them finite. A
    buffer that was not finite when training began, such as a mask, is meant so.

    Ranks stop in the same iteration, or those that go on would wait for the others
    for ever. (CheckInvalidLossHook of MMDetection asserts on its own rank, at every
    50th iteration.)

    Args:
        patience (int): Consecutive iterations without a finite loss that are too many.
        interval (int): Iterations between two agreements of the ranks.

    Raises:
        ValueError: Either is less than 1.
    """

    # Before any hook that saves: CheckpointHook after an iteration or an epoch,
    # BestCheckpointHook and SnapshotHook after its validation.
    priority = 'HIGH'

    def __init__(self, patience: int = 5, interval: int = 10) -> None:
        for name, value in dict(patience=patience, interval=interval).items():
            if value < 1:
                raise ValueError(f'{name}={value!r}: expected at least 1')
        self.patience = patience
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        """Counts on where an interrupted run was, and looks what is not finite yet."""
        self._count = runner.message_hub.get_info(_KEY) or 0
        self._loss: float | None = None
        self._diverged = False
        self._meant = set(_not_finite(runner.model))

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Looks at the loss; what a model without a ``'loss'`` gives is passed over.

        Raises:
            TrialDiverged: On all ranks, if it has diverged on any.
        """
        if isinstance(outputs, Mapping) and 'loss' in outputs:
            self._look_at(outputs['loss'])
        if is_time_to_agree(batch_idx, self.interval) and any_rank(self._diverged):
            raise self._error(runner, batch_idx + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Looks at the weights.

        Raises:
            TrialDiverged: On all ranks, if they, or the loss, have diverged on any.
        """
        runner.message_hub.update_info(_KEY, self._count)
        new = (name for name in _not_finite(runner.model) if name not in self._meant)
        name = next(new, None)
        if any_rank(self._diverged or name is not None):
            raise self._error(runner, len(runner.train_dataloader), name)

    def _look_at(self, loss: Tensor | float) -> None:
        # MMEngine has read the value for its log, so that the device is not waited for.
        value = loss.item() if torch.is_tensor(loss) else float(loss)
        self._count = 0 if math.isfinite(value) else self._count + 1
        self._loss = value
        self._diverged = self._diverged or self._count >= self.patience

    def _error(
        self, runner: Runner, iteration: int, name: str | None = None
    ) -> TrialDiverged:
        what = f'the loss was not finite in {self._count} iterations in a row'
        if name is not None:
            what = f'{name} is not finite'
        elif not self._diverged:
            what = 'another rank has found it'
        return TrialDiverged(what, runner.epoch + 1, iteration, self._loss)


def _not_finite(model: nn.Module) -> Iterator[str]:
    """Names of the floating-point parameters and buffers with a value that is not."""
    for group in (model.named_parameters(), model.named_buffers()):
        for name, tensor in group:
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                yield name
