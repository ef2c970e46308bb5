"""Re-estimating batch-norm statistics of averaged weights."""

from __future__ import annotations

from mmengine.dist import is_main_process
from mmpretrain.engine.hooks.precise_bn_hook import update_bn_stats
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from ff_mm.errors import ConfigError


def reestimate_batch_norm(
    model: nn.Module, loader: DataLoader, num_samples: int
) -> int:
    """Replaces running statistics by those of the data, layer by layer.

    The statistics of a mean of models are not the mean of their statistics (Izmailov
    et al. 2018, section 3.2). Only batch-norm layers are put into training mode, so
    that dropout stays off.

    Args:
        model: The model, without a distributed wrapper; changed in place, and left in
            evaluation mode.
        loader: Training data.
        num_samples: How many images to use at most.

    Returns:
        How many images were used; 0 if the model has no batch norm.

    Raises:
        ConfigError: Fewer images than one batch; MMPretrain would then silently set
            all statistics to zero.
    """
    batch_size = loader.batch_size
    batches = min(num_samples // batch_size, len(loader))
    if batches < 1:
        raise ConfigError(
            f'batch-norm re-estimation: num_samples={num_samples} is less than one '
            f'batch of {batch_size}'
        )
    model.eval()
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not layers:
        return 0
    statistics = [(layer.running_mean, layer.running_var) for layer in layers]
    for layer in layers:
        layer.train()
    update_bn_stats(model, loader, num_samples, logger='silent')
    # MMPretrain puts new tensors in their place, of which others would not know.
    for layer, (mean, variance) in zip(layers, statistics, strict=True):
        layer.running_mean = mean.copy_(layer.running_mean)
        layer.running_var = variance.copy_(layer.running_var)
    if is_main_process():
        print()  # MMPretrain's progress bar leaves its line open
    model.eval()
    return batches * batch_size
