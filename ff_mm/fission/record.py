"""The record of one trial: how it ended, and what came out of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ff_mm.errors import LedgerError
from ff_mm.files import write_json
from ff_mm.records import (
    COST,
    COUNT,
    FILE_NAME,
    METRICS,
    NAMED,
    NUMBER,
    SHA256,
    TEXT,
    WORDS,
    Is,
    Optional,
    RecordError,
    Rows,
    Table,
    read_record,
)

RECORD = 'record.json'
_WHAT = 'the record of a trial'
TRIALS_DIR = 'trials'

_FILE = Table(file=FILE_NAME, sha256=SHA256)
_WEIGHTS = Table(
    name=TEXT,
    file=FILE_NAME,
    sha256=SHA256,
    metrics=METRICS,
    hyper=Optional(NAMED),
    stage=Optional(TEXT),
    cycle=Optional(COUNT),
    parent=Optional(TEXT),
    epoch=Optional(COUNT),
)
_MADE_OF = Table(pool=TEXT, cost=Optional(COST), start=TEXT, teacher=NAMED)
# By how the trial has ended.
_ENDS = {
    'done': Table(
        epochs=COUNT,
        seconds=NUMBER,
        images=COUNT,
        metrics=NAMED,
        best_epoch=Optional(COUNT),
        ingredients=Rows(_WEIGHTS),
        best_file=Optional(_FILE),
        files=Optional(Rows(_FILE, 'file')),
        made_of=Optional(_MADE_OF),
        origin=Optional(_WEIGHTS),
    ),
    'failed': Table(failure=Table(kind=WORDS, reason=WORDS)),
}
_RECORD = Table(
    id=TEXT,
    stage=Optional(TEXT),
    parent=Optional(TEXT),
    hyper=Optional(NAMED),
    overrides=Optional(NAMED),
    planned_epochs=Optional(COUNT),
    state=Is('done or failed', lambda v: v in ('done', 'failed')),
)


def trial_folder(work_dir: str | Path, trial_id: str) -> Path:
    """The folder of one trial in a generation's work directory."""
    return Path(work_dir) / TRIALS_DIR / trial_id


class Record:
    """``trials/<id>/record.json``, written once when a trial ends.

    Records are the truth of a generation, ``ledger.json`` is the sum of them: a record
    is written by one process only, so that no two can undo what the other has noted.

    Args:
        work_dir: The generation's.
        trial_id: The trial.
        config: SHA-256 of the config that it belongs to.
    """

    def __init__(self, work_dir: str | Path, trial_id: str, config: str) -> None:
        self.path = trial_folder(work_dir, trial_id) / RECORD
        self._id = trial_id
        self._config = config

    def read(self) -> dict[str, Any] | None:
        """Returns how the trial ended; None if it has not, or the file is damaged.

        What the file of a finished trial said is found out anew, bit for bit, by
        training it again; so damage is no reason to stop.

        Raises:
            LedgerError: The record belongs to another config.
        """
        try:
            content = self._content()
        except (FileNotFoundError, RecordError):
            return None
        if content.get('id') != self._id or content.pop('config', None) != self._config:
            raise LedgerError(
                f'{self.path}: is of another config or trial; give a new --work-dir, '
                f'or remove the file to train {self._id!r} again'
            )
        return content

    def _content(self) -> dict[str, Any]:
        content = read_record(self.path, _RECORD, _WHAT)
        try:
            return _ENDS[content['state']].read(content)
        except RecordError as error:
            raise RecordError(f'{self.path}: is not {_WHAT}: {error}') from error

    def ask_server(self) -> None:
        """Has a network file system forget that there was no such file.

        Opening a folder makes its client ask the server again.
        """
        for folder in reversed(self.path.parents[:3]):  # work_dir, trials, <id>
            with suppress(OSError):
                os.listdir(folder)

    @property
    def is_damaged(self) -> bool:
        """Whether there is a file that says nothing."""
        return self.path.exists() and self.read() is None

    def write(self, entry: Mapping[str, Any]) -> None:
        """Writes the record, atomically.

        Raises:
            RecordError: It could not be read again, so that the trial would be trained
                again and again.
        """
        write_json(dict(entry, config=self._config), self.path)
        self._content()

    def remove(self) -> None:
        """Forgets how the trial ended, so that it is trained again."""
        self.path.unlink(missing_ok=True)
