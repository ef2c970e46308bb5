"""By which step of a pipeline images are loaded."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config


def own_loading(cfg: Config) -> dict[str, Any] | None:
    """Returns the step that loads images, if it is one that only ff_mm has.

    Args:
        cfg: With a test or a validation set.
    """
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    for step in loader['dataset'].get('pipeline', []):
        if step.get('type') == 'LoadDICOM':
            return dict(step)
    return None
