"""Where a run differs from the one that a work directory was begun with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ff_mm.errors import LedgerError

_SHOWN = 8


def compare(old: Any, new: Any, path: str = '') -> list[str]:
    """Lists where two JSON values differ, as ``key: old -> new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            difference
            for key in keys
            for difference in compare(
                old.get(key, '(absent)'),
                new.get(key, '(absent)'),
                f'{path}.{key}' if path else key,
            )
        ]
    return [] if old == new else [f'{path}: {_short(old)} -> {_short(new)}']


def difference_error(path: Path, differences: list[str]) -> LedgerError:
    """Says that a file was begun with another config, and what differs."""
    more = len(differences) - _SHOWN
    return LedgerError(
        f'{path} was begun with another config (old -> new):',
        *(f'  {line}' for line in differences[:_SHOWN]),
        *([f'  and {more} more'] if more > 0 else []),
        'restore these values to go on, or give a new --work-dir',
    )


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f'{text[:57]}...'
