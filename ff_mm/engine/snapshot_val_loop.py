"""Validation of those epochs alone of which a snapshot is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import ValLoop


@LOOPS.register_module()
class SnapshotValLoop(ValLoop):
    """:class:`ValLoop` that passes over epochs without a snapshot.

    The metrics of a fission's other epochs decide nothing: its schedule alone says
    which weights are kept. Use it as ``val_cfg=dict(type='SnapshotValLoop')`` together
    with :class:`SnapshotHook`, and leave ``train_cfg.val_interval`` at 1.

    Args:
        *args: Those of :class:`mmengine.runner.ValLoop`.
        **kwargs: Those of :class:`mmengine.runner.ValLoop`.

    Attributes:
        epochs: Those to validate, counted from 1; :class:`SnapshotHook` sets them
            before training. None: whenever the loop is run.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epochs: Sequence[int] | None = None

    def run(self) -> dict[str, float]:
        """Validates, if the epoch just trained ends in a snapshot.

        Returns:
            The metrics; none for an epoch that is passed over, of which no hook hears.
        """
        if self.epochs is not None and self.runner.epoch not in self.epochs:
            return {}
        return super().run()
