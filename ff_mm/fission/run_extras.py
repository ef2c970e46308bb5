"""What a run leaves and costs besides its epochs, for the record of its trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.runner import Runner

_KEY = 'extras'


def keep_extras(runner: Runner, extras: Mapping[str, Any]) -> None:
    """Notes extras of a run.

    Args:
        runner: The run.
        extras: ``images``: how many it has seen besides those of its epochs;
            ``files``: those in its folder that children need, each ``file`` and
            ``sha256``; ``made_of``: what it was made of that is no trial of the plan.
    """
    runner.message_hub.update_info(_KEY, dict(extras))


def extras_of(runner: Runner) -> dict[str, Any]:
    """Returns the extras of a run; empty if there are none."""
    return dict(runner.message_hub.get_info(_KEY) or {})
