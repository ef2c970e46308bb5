"""Checkpoints of plain values, which load with ``weights_only=True``."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ff_mm.plain import BUFFER, is_plain, to_plain


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Turns what MMEngine saves into tensors and plain Python values.

    MMEngine's training checkpoints hold ``HistoryBuffer`` objects and NumPy scalars
    in the message hub. From torch 2.6 on such a file cannot be resumed from, since
    loading runs with ``weights_only=True``. This hook writes plain values and rebuilds
    the buffers on loading. Stock MMEngine can resume from such a file as well; it
    skips the smoothing windows of the log.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Makes the checkpoint plain, in place.

        Raises:
            TypeError: A value of a type that could not be loaded again; said at the
                first checkpoint rather than when the run is to be resumed.
        """
        for key, value in checkpoint.items():
            checkpoint[key] = to_plain(value, key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rebuilds the message hub's buffers, in place.

        What stock MMEngine pickled there comes as stand-ins, and is left out.
        """
        hub = checkpoint.get('message_hub', {})
        for entries in (hub.get('log_scalars', {}), hub.get('runtime_info', {})):
            for key in [key for key, value in entries.items() if not is_plain(value)]:
                del entries[key]
        scalars = hub.get('log_scalars', {})
        for key, value in scalars.items():
            if isinstance(value, dict) and set(value) == set(BUFFER):
                scalars[key] = HistoryBuffer(*(value[name] for name in BUFFER))
