from __future__ import annotations

import numpy as np
import pytest

from ff_mm.errors import ConfigError
from ff_mm.inference.thresholds import Thresholds

CLASSES = ('nv', 'mel', 'bcc')


def said(scores, multilabel=False, **of):
    return Thresholds(CLASSES, multilabel, of).said(np.array(scores, np.float32))


@pytest.mark.parametrize(
    ('scores', 'of', 'expected'),
    [
        ([0.6, 0.3, 0.1], {}, ['nv']),
        ([0.6, 0.35, 0.05], dict(mel=0.3), ['mel']),
        ([0.75, 0.25, 0.0], dict(mel=0.25), ['mel']),  # reached
        ([0.6, 0.25, 0.15], dict(mel=0.3), ['nv']),
        # 0.35 / 0.3 is less than 0.2 / 0.1.
        ([0.45, 0.35, 0.2], dict(mel=0.3, bcc=0.1), ['bcc']),
        # The most probable has a threshold, and does not reach it.
        ([0.5, 0.3, 0.2], dict(nv=0.9), ['mel']),
        ([0.5, 0.3, 0.2], dict(nv=0.9, mel=0.9, bcc=0.9), []),
    ],
)
def test_of_classes_one_is_said_at_most(scores, of, expected):
    assert said(scores, **of) == expected


def test_of_labels_each_is_said_by_itself():
    assert said([0.5, 0.6, 0.49], multilabel=True) == ['nv', 'mel']
    assert said([0.5, 0.6, 0.49], True, mel=0.7, bcc=0.4) == ['nv', 'bcc']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[0.5]', 'expected a JSON file such as'),
        ('{', 'not JSON'),
        ('{}', 'expected a JSON file such as'),
        ('{"df": 0.5}', "no class 'df'"),
        ('{"nv": 0}', 'above 0'),
        ('{"nv": 1.5}', 'up to 1'),
        ('{"nv": true}', 'expected a probability'),
        ('{"nv": "0.5"}', 'expected a probability'),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ConfigError, match=message):
        Thresholds.read(tmp_path / 'a.json', CLASSES, False)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'absent\.json: no such file'):
        Thresholds.read(tmp_path / 'absent.json', CLASSES, False)
