"""Everything that extends MMEngine: schedulers, hooks, runners, file handling."""

from ff_mm.engine import atomic_backend, checkpoint_loading
from ff_mm.engine.hooks import *  # noqa: F403
from ff_mm.engine.runners import *  # noqa: F403
from ff_mm.engine.schedulers import *  # noqa: F403

__all__ = ['atomic_backend', 'checkpoint_loading']
