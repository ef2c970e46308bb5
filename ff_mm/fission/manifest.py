"""``ingredients.json``: what a generation offers to fusion."""

from __future__ import annotations

from typing import Any

from ff_mm.files import write_json
from ff_mm.fission.ledger import Ledger
from ff_mm.parallel.dispatch import write_until_current

MANIFEST = 'ingredients.json'
INGREDIENTS_DIR = 'ingredients'
FORMAT = 1


def write_manifest(
    ledger: Ledger, validation: dict[str, Any], last: bool = False
) -> dict[str, Any]:
    """Writes ``ingredients.json`` from the ledger, into the same folder.

    Args:
        ledger: Trials that are not finished contribute nothing, nor do failed ones.
        validation: ``fingerprint`` and ``size`` of the validation set on which the
            metrics were taken.
        last: Whether this process has nothing more to note, see
            :meth:`ff_mm.fission.ledger.Ledger.publish`.

    Returns:
        The manifest. ``complete`` tells whether no trial is left to train; ``failed``
        lists those that are not in it.
    """

    def gather() -> dict[str, Any]:
        ledger.refresh()
        return _manifest(ledger, validation)

    path = ledger.work_dir / MANIFEST
    if last:
        return write_until_current(gather, lambda manifest: write_json(manifest, path))
    manifest = gather()
    write_json(manifest, path)
    return manifest


def _manifest(ledger: Ledger, validation: dict[str, Any]) -> dict[str, Any]:
    return dict(
        format=FORMAT,
        complete=ledger.complete,
        validation=validation,
        ingredients=[
            dict(record, file=f'{INGREDIENTS_DIR}/{record["file"]}')
            for entry in ledger.entries
            for record in entry.get('ingredients', [])
        ],
        failed=[
            dict(trial=trial_id, **failure)
            for trial_id, failure in ledger.failures.items()
        ],
        cost=ledger.cost(),
    )
