"""Merging methods: HOW the weights of several models are combined; a file a method."""

from ff_mm.merging.methods import by_tensor, mean
from ff_mm.merging.methods.method import Members, Method, Running, Supply

METHODS: dict[str, Method] = {
    'mean': Method(mean.mean, is_mean=True, ordered=False, running=mean.MeanSoFar),
    'by_tensor': Method(by_tensor.by_tensor),
}

__all__ = ['METHODS', 'Members', 'Method', 'Running', 'Supply']
