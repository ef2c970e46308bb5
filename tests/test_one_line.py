from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ff_mm.datasets.errors import DatasetError
from ff_mm.errors import ConfigError, FFMMError, LedgerError, TrialDiverged
from ff_mm.fission.differences import difference_error
from ff_mm.merging import CheckpointError
from ff_mm.one_line import one_line

HOSTILE = '\x1b]0;x\x07\x9b31m\nerror: \u2028\u202eforged\r\x00\ud800'
ESCAPED = r'\x1b]0;x\x07\x9b31m\nerror: \u2028\u202eforged\r\x00\ud800'


def test_what_a_terminal_would_obey_is_escaped():
    assert one_line(HOSTILE) == ESCAPED
    assert one_line(one_line(HOSTILE)) == ESCAPED


@pytest.mark.parametrize(
    'name',
    [
        'base_lr0.001',
        'Größe \u00b5m²',
        '肺炎\u3000右',
        'کتاب\u200cها',
        'שלום\u200f!',
        'a\u00a0b',
        '\U0001f469\u200d\u2695\ufe0f',
        'e\u0301',
        'C:\\new\\x1b',
        '[/x] :smile:',
    ],
)
def test_names_of_people_stay_as_they_are(name):
    assert one_line(name) == name


@pytest.mark.parametrize('kind', [FFMMError, ConfigError, CheckpointError])
def test_names_forge_no_line_of_an_error(kind):
    error = kind(f'{HOSTILE}: no such file')
    assert str(error) == f'{ESCAPED}: no such file'
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ('error', 'lines'),
    [
        (CheckpointError(f'a: {HOSTILE}', 'b: none'), 2),
        (DatasetError(f'in {HOSTILE}', [f'no {HOSTILE}', 'odd']), 3),
        (TrialDiverged(HOSTILE, 1, 2, None), 1),
        (difference_error(Path('x'), [f'{HOSTILE}: 1 -> 2'] * 9), 11),
    ],
)
def test_an_error_of_several_lines_has_no_more(error, lines):
    assert len(str(error).splitlines()) == lines
    assert str(error).replace('\n', '').isprintable()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_ledger_still_says_what_differs():
    error = difference_error(Path('ledger.json'), ['lr: 1 -> 2'])
    assert isinstance(error, LedgerError)
    assert str(error).splitlines()[1:] == [
        '  lr: 1 -> 2',
        'restore these values to go on, or give a new --work-dir',
    ]
