"""What a generation leaves about the training of its trials, line by line.

Ledgers are checked as a whole; a line of a log that is not as it should be does not
count, be it that a process was killed over it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ff_mm.errors import LedgerError
from ff_mm.files import open_regular
from ff_mm.fission.ledger import LEDGER
from ff_mm.records import (
    COUNT,
    FILE_NAME,
    MEASURED,
    METRICS,
    NAMED,
    NUMBER,
    ORDINAL,
    SHA256,
    TEXT,
    Is,
    Optional,
    RecordError,
    Rows,
    Table,
    read_record,
)

# A forged number would be counted through for days.
MOST_EPOCHS = 10**5
_LOGS = '*/vis_data/scalars.json'
# What stands in a line of validation and is no metric.
_NO_METRICS = ('time', 'data_time', 'memory', 'step')
_MODE = re.compile('^(train|val)/')
_KEPT = Table(epoch=COUNT, cycle=Optional(COUNT), sha256=SHA256, metrics=METRICS)
_DONE = Table(
    id=FILE_NAME,
    stage=TEXT,
    parent=Optional(TEXT),
    hyper=NAMED,
    overrides=NAMED,
    state=TEXT,
    epochs=Is(
        f'a whole number from 0 to {MOST_EPOCHS}',
        lambda value: COUNT.fits(value) and value <= MOST_EPOCHS,
    ),
    best_epoch=Optional(ORDINAL),
    metrics=NAMED,
    ingredients=Rows(_KEPT),
)
_ENTRY = Table(state=TEXT)


class _Entry:
    """What is in the entry of a trial, and what more if it is finished."""

    def read(self, value: Any, where: str = '') -> dict[str, Any]:
        """Reads one."""
        done = isinstance(value, Mapping) and value.get('state') == 'done'
        return (_DONE if done else _ENTRY).read(value, where)


_LEDGER = Table(trials=Rows(_Entry(), 'id'))
_NAMES = Table()
_LINE = Table(step=ORDINAL, epoch=Optional(ORDINAL), lr=Optional(NUMBER))


def read_entries(folder: str | Path) -> list[dict[str, Any]]:
    """Reads the entries of a ledger, those of finished trials in full.

    Args:
        folder: The generation's work directory.

    Raises:
        LedgerError: There is no ledger, or it is damaged.
    """
    path = Path(folder) / LEDGER
    try:
        return read_record(path, _LEDGER, 'a ledger of ff_mm')['trials']
    except FileNotFoundError:
        raise LedgerError(f'{path}: no such file') from None
    except RecordError as error:
        raise LedgerError(str(error)) from error


def read_logs(
    folder: Path, epochs: int
) -> tuple[dict[int, dict[str, float]], dict[tuple[int, int], float]]:
    """Reads metrics by epoch, and learning rates by epoch and step.

    A run that was interrupted has a folder for each time that it was begun; what is
    said later counts. Epochs beyond the last are of an attempt that was given up.
    """
    metrics: dict[int, dict[str, float]] = {}
    rates: dict[tuple[int, int], float] = {}
    for path in sorted(folder.glob(_LOGS)):
        for line in _lines(path):
            if 'epoch' not in line:  # only lines of training have one
                values = {k: v for k, v in line.items() if k not in _NO_METRICS}
                if MEASURED.fits(values):
                    metrics[line['step']] = numbers(values)
            elif None not in (line['epoch'], line.get('lr')):
                rates[line['epoch'], line['step']] = float(line['lr'])
    return (
        {epoch: m for epoch, m in metrics.items() if 1 <= epoch <= epochs},
        {key: rate for key, rate in rates.items() if key[0] <= epochs},
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log that are as they should be.

    One may have been cut short as a process was killed.
    """
    with open_regular(path) as file:
        for text in file:
            with suppress(ValueError, RecursionError):
                line = _NAMES.read(json.loads(text.decode('utf-8', errors='replace')))
                # log_with_hierarchy puts the mode before each name.
                named = {_MODE.sub('', name): value for name, value in line.items()}
                yield _LINE.read(named)


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """What can be drawn of metrics; None is what is not finite becomes in JSON."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, float) or NUMBER.fits(value)
    }
