"""ff_mm from a notebook or a script: what the commands do, as functions."""

from ff_mm.api.calls import compare, fuse, train
from ff_mm.api.results import Compared, Fused, Pool

__all__ = ['Compared', 'Fused', 'Pool', 'compare', 'fuse', 'train']
