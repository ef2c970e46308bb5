"""With what a plan was begun, where its config leaves that to the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from ff_mm.cores import leaves_workers_open
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


def go_on_as_begun(cfg: Config) -> None:
    """Gives a plan the number of data workers with which it was begun.

    Where its config leaves that open, and the plan was begun before it could.

    Args:
        cfg: The generation config, changed in place.
    """
    begun = begun_with(cfg.work_dir)
    for key in ('train_dataloader', 'val_dataloader'):
        loader, old = cfg.get(key), begun.get(key)
        if not isinstance(loader, dict) or not isinstance(old, dict):
            continue
        if leaves_workers_open(loader) and 'num_workers' in old:
            loader['num_workers'] = old['num_workers']
