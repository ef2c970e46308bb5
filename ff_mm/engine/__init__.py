"""MMEngine extended: schedulers, hooks, the quiet Runner, checkpoint files."""

from ff_mm.engine import checkpoint_io, mmengine_patches
from ff_mm.engine.bfloat16_optim_wrapper import Bfloat16OptimWrapper
from ff_mm.engine.hooks import *  # noqa: F403
from ff_mm.engine.quiet_runner import QuietRunner
from ff_mm.engine.schedulers import *  # noqa: F403

__all__ = [
    'Bfloat16OptimWrapper',
    'QuietRunner',
    'checkpoint_io',
    'mmengine_patches',
]
