"""What runs leave behind for later runs, forged."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from malicious_files import npy
from mmpretrain.registry import MODELS
from toys import Canary

from ff_mm.comparison import Predictions, PredictionsError
from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.image_cache.store import Record, RecordFile, write_records
from ff_mm.evaluation.memo import EvaluationMemo
from ff_mm.merging import CheckpointError
from ff_mm.models.starting_weights import check_starting_weights

GOOD = dict(
    scores=np.full((4, 3), 1 / 3, np.float32),
    truth=np.zeros(4, np.int64),
    cases=np.array(['a', 'b', 'c', 'd']),
)


def shaped(dtype, number):
    return npy(f"{{'descr':'{dtype}','fortran_order':False,'shape':({number},3)}}")


def arrays(**changes):
    return lambda path: np.savez(path, **{**GOOD, **changes})


def member(array):
    """Scores that are these bytes."""

    def write(path):
        np.savez(path, truth=GOOD['truth'], cases=GOOD['cases'])
        with zipfile.ZipFile(path, 'a') as archive:
            archive.writestr('scores.npy', array)

    return write


PREDICTIONS = {
    'objects': arrays(cases=np.array([Canary('ran'), 1, 2, 3], dtype=object)),
    'a pickle': lambda path: path.write_bytes(pickle.dumps(Canary('ran'))),
    'a pickle as array': member(pickle.dumps(Canary('ran'))),
    'compressed': lambda path: np.savez_compressed(path, **GOOD),
    'complex scores': arrays(scores=GOOD['scores'] + 1j),
    'scores as texts': arrays(scores=GOOD['scores'].astype(str)),
    'classes between classes': arrays(truth=np.full(4, 0.7)),
    'numbered cases': arrays(cases=np.arange(4)),
    'fields': arrays(scores=np.zeros((4, 3), [('a', 'f4')])),
    'another array': arrays(more=np.zeros(3)),
    'memory without end': member(shaped('<f4', 1 << 50)),
    'no bytes an item': member(shaped('<U0', 1 << 50)),
    'objects by the header': member(
        npy("{'descr':'|O','fortran_order':False,'shape':(4,)}")
    ),
    'code in the header': member(npy("__import__('os').mkdir('ran')")),
    'a header nested without end': member(npy('(' * 5000)),
}


@pytest.mark.parametrize('case', PREDICTIONS)
def test_predictions_are_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'model.npz'
    PREDICTIONS[case](path)
    with pytest.raises(PredictionsError) as caught:
        Predictions.read(path)
    said = str(caught.value)
    assert said.startswith(f'{path}: damaged') and '\n' not in said
    assert not (tmp_path / 'ran').exists()


def test_the_predictions_are_good_where_nothing_is_changed(tmp_path):
    arrays()(tmp_path / 'model.npz')
    assert len(Predictions.read(tmp_path / 'model.npz')) == 4


@pytest.mark.parametrize(
    'line',
    [
        '[' * 10**5,
        '{"key": "a", "value": {"accuracy": "high"}}',
        '{"key": "a", "value": {"accuracy": true}}',
        '{"key": "a", "value": 0.5}',
        '{"key": "a/greater/accuracy", "value": {"accuracy": 1}}',
        '{"key": "a", "value": {"accuracy": %s}}' % ('9' * 9999),
        '{"key": "a", "value": {"accuracy": %s}}' % ('9' * 400),
        '{"key": "a/greater/accuracy", "value": %s}' % ('9' * 400),
        '{"key": "a/greater/accuracy", "value": NaN}',
        '{"key": "a", "value": {}}',
        '{"key": "a", "value": {"\\ud800": 1}}',
        '{"key": "a", "value": {"m": ' + '[' * 900 + ']' * 900 + '}}',
        '{"key": ["a"], "value": {"accuracy": 1}}',
        '\0' * 99,
    ],
)
def test_a_forged_line_of_the_memo_does_not_count(line, tmp_path):
    """The pass is then made again."""
    path = tmp_path / 'evaluations.jsonl'
    path.write_text(f'{line}\n{{"key": "b", "value": {{"accuracy": 0.5}}}}\n')
    memo = EvaluationMemo()
    memo.open(path)
    assert memo.metrics('a') is None
    assert memo.bound('a', 'accuracy', 'greater') is None
    assert memo.metrics('b') == dict(accuracy=0.5)


@pytest.fixture
def cache(tmp_path):
    """A cache of one image."""
    pixels = np.zeros((2, 3), np.uint8)
    write_records(tmp_path / 'x.npy', [Record('a.png', pixels, {})])
    return tmp_path / 'x.npy'


@pytest.mark.parametrize(
    'head',
    [b"__import__('os').mkdir('ran')", b'(((((', b"((2, 3), '|O', {})", b'\xff\xfe'],
)
def test_a_forged_image_cache(head, cache, monkeypatch):
    monkeypatch.chdir(cache.parent)
    pixels = cache.with_suffix('.pixels')
    content = pixels.read_bytes()
    length = int(np.load(cache)['head'][0])
    pixels.write_bytes(head.ljust(length)[:length] + content[length:])
    with pytest.raises(DatasetError, match=r'x\.npy: .* damaged'):
        RecordFile(cache).find('a.png')
    assert not (cache.parent / 'ran').exists()


@pytest.mark.parametrize(
    'change', [dict(at=1 << 40), dict(head=-5), dict(size=1 << 40)]
)
def test_an_image_cache_that_points_elsewhere(change, cache):
    index = np.load(cache)
    for name, value in change.items():
        index[name] = value
    np.save(cache, index)
    with pytest.raises(DatasetError, match=r'x\.npy: .* damaged'):
        RecordFile(cache).find('a.png')


def starting_from(path):
    backbone = dict(type='ResNet', depth=18)
    return dict(
        type='ImageClassifier',
        backbone=dict(backbone, init_cfg=dict(type='Pretrained', checkpoint=str(path))),
    )


def code(path):
    torch.save(dict(state_dict={'w': torch.ones(1)}, x=Canary('ran')), path)


def another_network(path):
    torch.save(dict(state_dict={'w': torch.ones(1)}), path)


@pytest.mark.parametrize(
    ('name', 'write'),
    [
        ('a.pth', code),
        ('a.pth', another_network),
        ('a.pth', lambda path: path.write_bytes(b'PK\x03\x04' + bytes(99))),
        ('a.safetensors', code),
        ('a.safetensors', lambda path: path.write_bytes(b'\xff' * 99)),
        ('a.safetensors', lambda path: path.write_bytes(b'')),
    ],
)
def test_starting_weights_are_refused(name, write, tmp_path, monkeypatch):
    if name.endswith('safetensors'):
        pytest.importorskip('safetensors')
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)
    assert MODELS.get('ResNet')
    with pytest.raises(CheckpointError, match=name.replace('.', r'\.')):
        check_starting_weights(starting_from(tmp_path / name))
    assert not (tmp_path / 'ran').exists()


def test_the_canary_would_sing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    np.save(file, np.array([Canary('ran')], dtype=object), allow_pickle=True)
    file.seek(0)
    np.load(file, allow_pickle=True)
    assert (tmp_path / 'ran').exists()
