"""``ingredients.json``: what a generation offers to fusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from ff_mm.files import write_json
from ff_mm.generation.ledger import Ledger

MANIFEST = 'ingredients.json'
INGREDIENTS_DIR = 'ingredients'
FORMAT = 1


def write_manifest(
    work_dir: str | Path, ledger: Ledger, validation: dict[str, Any]
) -> dict[str, Any]:
    """Writes ``ingredients.json`` from the ledger.

    Args:
        work_dir: The generation's folder.
        ledger: Its ledger; unfinished trials contribute nothing.
        validation: ``fingerprint`` and ``size`` of the validation set on which the
            metrics were taken.

    Returns:
        The manifest. ``complete`` tells whether all trials are in it.
    """
    manifest = dict(
        format=FORMAT,
        complete=ledger.complete,
        validation=validation,
        ingredients=[
            dict(record, file=f'{INGREDIENTS_DIR}/{record["file"]}')
            for entry in ledger.entries
            for record in entry.get('ingredients', [])
        ],
        cost=ledger.cost(),
    )
    if is_main_process():
        write_json(manifest, Path(work_dir) / MANIFEST)
    return manifest
