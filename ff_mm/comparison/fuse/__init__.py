"""From a pool to the one file to deploy."""

from ff_mm.comparison.fuse.fuse_runner import FuseRunner

__all__ = ['FuseRunner']
