"""Batch norm that training leaves as it was."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm


@HOOKS.register_module()
class FrozenBatchNormHook(Hook):
    """Trains with batch norm's running statistics, and does not change them.

    Scale and shift are trained on. MMPretrain's ``norm_eval`` does the same, for some
    of its networks.
    """

    def before_train_iter(
        self, runner: Runner, *args: object, **kwargs: object
    ) -> None:
        """Puts batch norm into evaluation mode, whatever has put the model in its."""
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
