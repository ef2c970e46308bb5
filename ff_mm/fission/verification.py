"""Whether the files of finished trials are still what was written."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ff_mm.files import sha256
from ff_mm.fission.ledger import Ledger
from ff_mm.fission.manifest import INGREDIENTS_DIR
from ff_mm.fission.record import trial_folder

# Hashing leaves Python's lock, and disks like more than one reader.
_READERS = 4


def forget_damaged(ledger: Ledger, trials: Collection[str]) -> list[str]:
    """Makes finished trials of which a file is missing or changed planned ones.

    On CPU they then yield the same files again, bit for bit.

    Args:
        ledger: Of the plan.
        trials: Those to look at.

    Returns:
        A line for the user about each file that is not what it was.
    """
    expected = [(id, *pair) for id in trials for pair in _files(ledger, id)]
    with ThreadPoolExecutor(_READERS) as pool:
        digests = pool.map(_digest, [path for _, path, _ in expected])
        found = list(zip(expected, digests, strict=True))
    notes = []
    for (trial_id, path, digest), now in found:
        if now != digest:
            what = 'is missing' if now is None else 'is not what was written (sha256)'
            notes.append(f'{path}: {what}; trial {trial_id!r} is trained again')
            ledger.forget(trial_id)
    return notes


def _files(ledger: Ledger, trial_id: str) -> list[tuple[Path, str]]:
    """The files of a finished trial that are still needed, and their digests."""
    if not ledger.is_done(trial_id):
        return []
    entry = ledger.entry(trial_id)
    folder = ledger.work_dir / INGREDIENTS_DIR
    files = [(folder / each['file'], each['sha256']) for each in entry['ingredients']]
    if (best := entry.get('best_file')) and ledger.has_children_to_train(trial_id):
        folder = trial_folder(ledger.work_dir, trial_id)
        files.append((folder / best['file'], best['sha256']))
    return files


def _digest(path: Path) -> str | None:
    try:
        return sha256(path)
    except FileNotFoundError:
        return None
