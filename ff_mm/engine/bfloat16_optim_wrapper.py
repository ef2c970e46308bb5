"""Mixed precision with bfloat16, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """:class:`OptimWrapper` whose forward pass is autocast to bfloat16.

    MMEngine's ``AmpOptimWrapper`` refuses to run without a GPU. bfloat16 has the range
    of float32, so no loss scaling is needed and no state of it has to be kept. Weights,
    gradients, the optimizer and checkpoints stay float32, and so does validation
    (``val_cfg=dict(fp16=True)`` is MMEngine's switch for that).

    It pays on processors that multiply bfloat16 (Intel's since Cooper Lake, AMD's since
    Zen 4, GPUs since Ampere). Others compute it in software, slower than float32.

    Arguments are those of :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocasts the forward pass.

        Args:
            model: The one that is trained.
        """
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
