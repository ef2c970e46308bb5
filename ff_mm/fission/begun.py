"""With what a plan was begun, where its config leaves that to the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ff_mm.files import read_json
from ff_mm.fission.ledger import LEDGER


def begun_with(work_dir: str | Path) -> dict[str, Any]:
    """Returns the config with which a plan was begun.

    Args:
        work_dir: The plan's.

    Returns:
        What its ledger says; empty where there is none, or none that can be read, which
        is for :class:`ff_mm.fission.ledger.Ledger` to say.
    """
    try:
        config = read_json(Path(work_dir) / LEDGER)['config']
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return config if isinstance(config, dict) else {}
