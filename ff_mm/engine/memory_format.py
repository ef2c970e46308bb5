"""The order in which the weights of convolutions lie in memory."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


def to_channels_last(model: nn.Module) -> None:
    """Lays weights of convolutions out so that a pixel's channels are neighbours."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)


@MODEL_WRAPPERS.register_module()
class ChannelsLastDataParallel(MMDistributedDataParallel):
    """DDP of a network that is going to be trained in channels_last.

    DDP lays out what it sends as the weights lie when it is made; a gradient that lies
    otherwise is copied value by value in every step. The network itself comes out as it
    went in, since random numbers are put into weights in the order in which they lie:
    :class:`ff_mm.engine.hooks.ChannelsLastHook` converts it once they are.

    Args:
        module: The network.
        **kwargs: Those of :class:`mmengine.model.MMDistributedDataParallel`.
    """

    def __init__(self, module: nn.Module, **kwargs: Any) -> None:
        weights = {name: value.data for name, value in module.named_parameters()}
        to_channels_last(module)
        super().__init__(module, **kwargs)
        with torch.no_grad():
            for name, value in module.named_parameters():
                # DDP has given all ranks the values of the first.
                weights[name].copy_(value.data)
                value.data = weights[name]
