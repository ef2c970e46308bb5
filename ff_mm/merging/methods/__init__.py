"""Merging methods: HOW the weights of several models are combined; a file a method."""

from ff_mm.merging.methods import mean
from ff_mm.merging.methods.method import Members, Method, Running, Supply

METHODS: dict[str, Method] = {
    'mean': Method(mean.mean, is_mean=True, ordered=False, running=mean.MeanSoFar),
}

__all__ = ['METHODS', 'Members', 'Method', 'Running', 'Supply']
