"""Weights that are 0 at the start stay 0."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ff_mm.engine.distributed import unwrapped_model
from ff_mm.merging.sparse import mask_of
from ff_mm.merging.state_dict import read_state_dict


@HOOKS.register_module()
class PruningMaskHook(Hook):
    """Keeps pruned weights at exactly 0, whatever the optimizer does.

    Args:
        start (str): The checkpoint from which the run has started, whose zeros are the
            mask; relative to the run's work directory. (In the state from which an
            interrupted run goes on, a weight could be 0 by chance.)
    """

    # Before what keeps or averages the weights of a step.
    priority = 'HIGH'

    def __init__(self, start: str = 'start.pth') -> None:
        self.start = start
        self._masks: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        """Reads the mask."""
        model = unwrapped_model(runner.model)
        masks = mask_of(read_state_dict(Path(runner.work_dir) / self.start))
        parameters = dict(model.named_parameters())
        self._masks = [
            (parameters[key], mask.to(parameters[key]))
            for key, mask in masks.items()
            if key in parameters
        ]

    @torch.no_grad()
    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Sets what is pruned to 0 again."""
        for parameter, mask in self._masks:
            parameter.mul_(mask)
