"""``soup.pth`` and ``deploy.py``: what is left of a fusion to be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ff_mm.files import atomic_write
from ff_mm.fusion.deployment import deployment_config, deployment_notes
from ff_mm.merging import StateDict, write_checkpoint
from ff_mm.plain import to_plain
from ff_mm.tasks.loading import own_loading

SOUP_FILE = 'soup.pth'
# What the command `fuse` calls the one that it has chosen.
FUSED_FILE = 'fused.pth'
DEPLOY_FILE = 'deploy.py'


def write_soup(
    cfg: Config,
    dataset_meta: Mapping[str, Any],
    state_dict: StateDict,
    contents: Mapping[str, Any],
    folder: Path,
    name: str = SOUP_FILE,
) -> str | None:
    """Writes a soup, and beside it the config with which stock libraries use it.

    Args:
        cfg: The config, resolved.
        dataset_meta: Meta information of the data, such as its classes.
        state_dict: The weights.
        contents: What they are made of.
        folder: Where to.
        name: The name of the file of weights.

    Returns:
        A line for the user on what a stock library does not do; None: there is none.
    """
    deploy = deployment_config(cfg)
    meta = to_plain(
        dict(dataset_meta=dataset_meta, cfg=deploy.pretty_text, soup=contents)
    )
    if loading := own_loading(cfg):  # which the config for stock mmpretrain cannot say
        meta['loading'] = to_plain(loading)
    write_checkpoint(dict(meta=meta, state_dict=state_dict), folder / name)
    notes = deployment_notes(cfg)
    with atomic_write(folder / DEPLOY_FILE, 'w') as file:
        file.write(''.join(f'# {note}\n' for note in notes) + deploy.pretty_text)
    return f'note: {DEPLOY_FILE}: {"; ".join(notes)}' if notes else None
