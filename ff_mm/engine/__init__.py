"""Everything that extends MMEngine: schedulers, hooks, runners, file handling."""

from ff_mm.engine import atomic_backend, checkpoint_loading, subset_copies
from ff_mm.engine.bfloat16_optim_wrapper import Bfloat16OptimWrapper
from ff_mm.engine.hooks import *  # noqa: F403
from ff_mm.engine.runners import *  # noqa: F403
from ff_mm.engine.schedulers import *  # noqa: F403
from ff_mm.engine.snapshot_val_loop import SnapshotValLoop

__all__ = [
    'Bfloat16OptimWrapper',
    'SnapshotValLoop',
    'atomic_backend',
    'checkpoint_loading',
    'subset_copies',
]
