"""What of a config decides the results, and where two configs differ in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SHOWN = 8

# Parts of a config that change what is shown or where, but not what comes out.
_IRRELEVANT = {
    'work_dir',
    'launcher',
    'log_level',
    'log_processor',
    'visualizer',
    'vis_backends',
    'default_hooks',
    'custom_imports',
    'env_cfg',
    'resume',
    'selection',
    'state_interval',
    'grace_period',
    'parallel',
    'trials',
    'retry_failed',
    'ood_dataloaders',
    'test_cfg',
    'test_dataloader',
    'test_evaluator',
}
# Left off they are as good as absent: a plan begun before they existed goes on.
_OPTIONS = {'channels_last', 'compile'}


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a config that decides what comes out, as JSON has it."""
    kept = {
        key: value
        for key, value in config.items()
        if key not in _IRRELEVANT and (value or key not in _OPTIONS)
    }
    # A cache gives the images as they are, unless they are made smaller for it.
    cached = kept.pop('cache_images', None)
    if isinstance(cached, Mapping) and cached.get('short_side'):
        kept['cache_images'] = dict(short_side=cached['short_side'])
    return json.loads(json.dumps(kept, default=str))


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


def difference_message(path: Path, differences: list[str]) -> str:
    """Says that a file was begun with another config, and what differs."""
    shown = '\n'.join(f'  {line}' for line in differences[:_SHOWN])
    more = len(differences) - _SHOWN
    return (
        f'{path} was begun with another config (old -> new):\n{shown}'
        + (f'\n  and {more} more' if more > 0 else '')
        + '\nrestore these values to go on, or give a new --work-dir'
    )


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f'{text[:57]}...'
