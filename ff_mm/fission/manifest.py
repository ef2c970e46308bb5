"""``ingredients.json``: what a generation offers to fusion, and the files it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ff_mm.files import NotRegularError, sha256, write_json
from ff_mm.fission.ledger import Ledger
from ff_mm.fission.record import trial_folder
from ff_mm.fission.trial import has_own_validation
from ff_mm.parallel.dispatch import write_until_current

MANIFEST = 'ingredients.json'
INGREDIENTS_DIR = 'ingredients'
# Apart: what lies in the folder of ingredients is one.
ORIGIN_DIR = 'origin'
FORMAT = 1
# Hashing leaves Python's lock, and disks like more than one reader.
_READERS = 4


def write_manifest(
    ledger: Ledger, validation: dict[str, Any], last: bool = False
) -> dict[str, Any]:
    """Writes ``ingredients.json`` from the ledger, into the same folder.

    Args:
        ledger: Trials that are not finished contribute nothing, nor do failed ones.
        validation: ``fingerprint`` and ``size`` of the validation set on which the
            metrics were taken; of a plan with folds what these are, too.
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
    entries = ledger.entries
    made_of = next((e['made_of'] for e in entries if e.get('made_of')), None)
    return dict(
        format=FORMAT,
        complete=ledger.complete,
        validation=validation,
        origin=_origin(entries),
        ingredients=[
            _ingredient(record, entry)
            for entry in entries
            for record in entry.get('ingredients', [])
        ],
        failed=[
            dict(trial=trial_id, **failure)
            for trial_id, failure in ledger.failures.items()
        ],
        cost=ledger.cost(),
        **({} if made_of is None else dict(made_of=made_of)),
    )


def _ingredient(record: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of an ingredient.

    Its metrics are those of the plan's validation set. Others, of a trial that has a
    set of its own, stand apart, as nobody could compare them.
    """
    described = dict(record, file=f'{INGREDIENTS_DIR}/{record["file"]}')
    if recipe := entry.get('recipe'):
        # Of a trial there may be several, such as snapshots.
        described['recipe'] = recipe + record['name'].removeprefix(entry['id'])
    if has_own_validation(entry['overrides']):
        described.update(metrics={}, own_metrics=record['metrics'])
    return described


def _origin(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The weights from which all ingredients have come, if they are one and the same.

    None also where a trial was trained by a version that did not keep them.
    """
    known: dict[str | None, dict[str, Any] | None] = {}
    for entry in entries:  # parents come before children
        known[entry['id']] = entry.get('origin') or known.get(entry['parent'])
    begun = [known[entry['id']] for entry in entries if entry.get('ingredients')]
    if len({each and each['sha256'] for each in begun}) != 1 or begun[0] is None:
        return None
    return dict(begun[0], file=f'{ORIGIN_DIR}/{begun[0]["file"]}')


def find_damaged(ledger: Ledger, trials: Collection[str]) -> dict[str, list[str]]:
    """Finds finished trials of which a file is missing or changed.

    Args:
        ledger: Of the plan.
        trials: Those to look at.

    Returns:
        By trial, a line for the user about each file that is not what it was.
    """
    expected = [(id, *pair) for id in trials for pair in _files(ledger, id)]
    with ThreadPoolExecutor(_READERS) as pool:
        digests = pool.map(_digest, [path for _, path, _ in expected])
        read = list(zip(expected, digests, strict=True))
    found: dict[str, list[str]] = {}
    for (trial_id, path, digest), now in read:
        if now != digest:
            what = 'is missing' if now is None else 'is not what was written (sha256)'
            line = f'{path}: {what}; trial {trial_id!r} is trained again'
            found.setdefault(trial_id, []).append(line)
    return found


def forget_damaged(ledger: Ledger, suspects: Collection[str]) -> list[str]:
    """Makes finished trials of which a file is missing or changed planned ones.

    On CPU they then yield the same files again, bit for bit. One process at a time may
    call it, and files are large: :func:`find_damaged` tells before, in all processes at
    once, which trials need it. They are looked at again, since another process may have
    trained them anew meanwhile.

    Args:
        ledger: Of the plan.
        suspects: The trials to look at.

    Returns:
        Lines for the user.
    """
    found = find_damaged(ledger, suspects)
    for trial_id in found:
        ledger.forget(trial_id)
    return [line for lines in found.values() for line in lines]


def _files(ledger: Ledger, trial_id: str) -> list[tuple[Path, str]]:
    """The files of a finished trial that are still needed, and their digests."""
    if not ledger.is_done(trial_id):
        return []
    entry = ledger.entry(trial_id)
    folder = ledger.work_dir / INGREDIENTS_DIR
    files = [(folder / each['file'], each['sha256']) for each in entry['ingredients']]
    if origin := entry.get('origin'):
        files.append((ledger.work_dir / ORIGIN_DIR / origin['file'], origin['sha256']))
    if (best := entry.get('best_file')) and ledger.has_children_to_train(trial_id):
        folder = trial_folder(ledger.work_dir, trial_id)
        needed = [best, *(entry.get('files') or [])]
        files += [(folder / each['file'], each['sha256']) for each in needed]
    return files


def _digest(path: Path) -> str | None:
    try:
        return sha256(path)
    except (FileNotFoundError, NotRegularError):
        return None
