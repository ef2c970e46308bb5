"""Starting a run from another run's checkpoint, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.engine.distributed import unwrapped_model
from ff_mm.merging.finite import wrong_values
from ff_mm.merging.state_dict import (
    CheckpointError,
    check_same_architecture,
    weights_of,
)

# What of a GradScaler is found in training.
_FOUND = ('scale', '_growth_tracker')


@HOOKS.register_module()
class WarmStartHook(Hook):
    """Completes ``load_from``: all weights must fit, and the optimizer comes along.

    MMEngine's ``load_from`` passes over keys that are missing or do not fit, with a
    warning in the log, and ignores the optimizer. Where one trial starts from another,
    a single layer that did not load would falsify the result.

    Of the optimizer only the state is taken (moments and step counts, and the scale of
    the loss that mixed precision in float16 has found); its settings,
    such as the weight decay, stay those of the config. (In the authors' code loading
    the base's optimizer silently restores its weight decay.)

    Args:
        optimizer (bool): Whether to take over the optimizer's state. Fission does,
            since its small steps continue those of the base.
    """

    priority = 'NORMAL'

    def __init__(self, optimizer: bool = False) -> None:
        self.optimizer = optimizer

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Checks the weights and loads the optimizer's state.

        Raises:
            CheckpointError: Weights that do not fit the model, or with which none can
                compute, or no optimizer state where one is wanted.
        """
        if not runner._resume:
            file = str(runner._load_from)
            if wrong := wrong_values(weights_of(checkpoint, file)):
                raise CheckpointError(
                    f'{file}: {wrong}: this model has diverged, or the file is damaged'
                )
        model = unwrapped_model(runner.model)
        problems = check_same_architecture(
            checkpoint['state_dict'],
            model.state_dict(),
            str(runner._load_from),
            'the model',
        )
        if problems:
            raise CheckpointError(' '.join(problems))
        if self.optimizer:
            self._load_optimizer(runner, checkpoint)

    def _load_optimizer(self, runner: Runner, checkpoint: dict) -> None:
        if 'optimizer' not in checkpoint:
            raise CheckpointError(
                f'{runner._load_from}: holds no optimizer state to start from'
            )
        optimizer = runner.optim_wrapper.optimizer
        groups = optimizer.state_dict()['param_groups']
        saved = checkpoint['optimizer']
        parameters = sum(len(group['params']) for group in groups)
        saved_parameters = sum(len(g['params']) for g in saved['param_groups'])
        if parameters != saved_parameters:
            raise CheckpointError(
                f'{runner._load_from}: the optimizer state is of {saved_parameters} '
                f'parameters, the model has {parameters}'
            )
        optimizer.load_state_dict(dict(state=saved['state'], param_groups=groups))
        _load_scale(runner.optim_wrapper, saved.get('loss_scaler'))


def _load_scale(wrapper: OptimWrapper, saved: Mapping[str, Any] | None) -> None:
    """Takes over the scale that mixed precision has found; its settings stay.

    A new one begins far too high, so that the first steps are left out, and others than
    in the base's optimizer. A scale that the config states is not found.
    """
    if not isinstance(wrapper, AmpOptimWrapper) or not saved:
        return
    own = wrapper.loss_scaler.state_dict()
    if own and wrapper._scale_update_param is None:
        found = {key: saved[key] for key in _FOUND if key in saved}
        wrapper.loss_scaler.load_state_dict({**own, **found})
