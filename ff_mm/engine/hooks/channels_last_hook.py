"""Training in channels_last, which the files do not show."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.utils import apply_to

from ff_mm.engine.ingredient_file import in_default_layout
from ff_mm.engine.memory_format import to_channels_last


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays the weights of convolutions out so that a pixel's channels are neighbours.

    That is the order in which convolutions compute fastest on CPUs, and on GPUs with
    mixed precision. What goes through a network takes the order of its weights, so the
    images need no conversion. Networks without convolutions stay as they are.

    The optimizer's state follows: fused optimizers go through it and the weights side
    by side in memory, and would pair the wrong values. Checkpoints hold everything in
    torch's own order, so that they load anywhere; a run that is resumed from one ends
    bit for bit like one that was not.
    """

    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        """Converts the weights, and what the optimizer has kept of them."""
        to_channels_last(runner.model)
        wrapper = runner.optim_wrapper
        several = isinstance(wrapper, OptimWrapperDict)
        for part in wrapper.values() if several else [wrapper]:
            for parameter, state in part.optimizer.state.items():
                for key, value in state.items():
                    if torch.is_tensor(value) and value.shape == parameter.shape:
                        like = torch.empty_like(parameter, dtype=value.dtype)
                        state[key] = like.copy_(value)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Gives the file torch's own order, and leaves the model as it is."""
        weights = checkpoint['state_dict']
        for key, value in weights.items():
            weights[key] = in_default_layout(value)
        if 'optimizer' in checkpoint:
            checkpoint['optimizer'] = apply_to(
                checkpoint['optimizer'], torch.is_tensor, in_default_layout
            )
