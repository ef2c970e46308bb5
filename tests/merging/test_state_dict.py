from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch.serialization import get_safe_globals, safe_globals

from ff_mm.errors import FFMMError
from ff_mm.merging.state_dict import (
    CheckpointError,
    check_same_architecture,
    outline,
    read_checkpoint,
    read_state_dict,
    write_checkpoint,
)


def weights():
    return {'w': torch.arange(6.0).reshape(2, 3), 'n': torch.tensor(7)}


def assert_equal(a, b):
    assert list(a) == list(b)
    for key in a:
        assert a[key].dtype == b[key].dtype
        assert torch.equal(a[key], b[key])


# Reading


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda w: w,
        lambda w: {'meta': {'epoch': 3}, 'state_dict': OrderedDict(w)},
        lambda w: {'state_dict': {f'module.{key}': v for key, v in w.items()}},
    ],
    ids=['bare', 'mmengine', 'data_parallel'],
)
def test_weights_come_back(tmp_path, wrap, zipped):
    path = tmp_path / 'a.pth'
    torch.save(wrap(weights()), path, _use_new_zipfile_serialization=zipped)
    assert_equal(read_state_dict(path), weights())


def test_the_prefix_stays_unless_all_have_it(tmp_path):
    torch.save({'module.a': torch.ones(1), 'b': torch.ones(1)}, tmp_path / 'a.pth')
    assert list(read_state_dict(tmp_path / 'a.pth')) == ['module.a', 'b']


def test_parameters_come_back_without_gradients(tmp_path):
    torch.save({'w': torch.nn.Parameter(torch.ones(2))}, tmp_path / 'a.pth')
    assert not read_state_dict(tmp_path / 'a.pth')['w'].requires_grad


def stock_mmengine_checkpoint():
    """What CheckpointHook of mmengine 0.10.7 saves: see MessageHub.state_dict."""
    history = HistoryBuffer([0.5, 0.25], [1, 1])
    history.update(0.125)
    return {
        'meta': {'epoch': 2, 'iter': 20, 'seed': 0},
        'state_dict': OrderedDict(weights()),
        'message_hub': {
            'log_scalars': OrderedDict(
                {'train/loss': history, 'empty': HistoryBuffer()}
            ),
            'runtime_info': OrderedDict(
                iter=20,
                eta=np.float64(0.1),
                best=np.float32(0.5),
                flag=np.bool_(True),
                names=np.array(['a', 'b']),
                objects=np.array(['a', None], dtype=object),
                none=np.zeros(0),
            ),
            'resumed_keys': OrderedDict({'train/loss': True}),
        },
        'optimizer': torch.optim.AdamW([torch.ones(1)], lr=0.1).state_dict(),
    }


@pytest.mark.parametrize('numpy_1', [False, True], ids=['as_saved_here', 'numpy_1'])
def test_a_stock_mmengine_training_checkpoint_is_readable(tmp_path, numpy_1):
    path = tmp_path / 'epoch_2.pth'
    torch.save(stock_mmengine_checkpoint(), path)
    if numpy_1:
        rename_in_pickle(path, b'numpy._core.', b'numpy.core.')
    with pytest.raises(pickle.UnpicklingError):  # else this tests nothing
        torch.load(path, weights_only=True)
    checkpoint = read_checkpoint(path)
    assert_equal(read_state_dict(path), weights())
    assert checkpoint['meta'] == {'epoch': 2, 'iter': 20, 'seed': 0}
    assert checkpoint['message_hub']['runtime_info']['iter'] == 20
    assert checkpoint['optimizer']['param_groups'][0]['lr'] == 0.1
    loss = checkpoint['message_hub']['log_scalars']['train/loss']
    assert not isinstance(loss, HistoryBuffer)


def rename_in_pickle(path, old, new):
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in records if name.endswith('data.pkl'))
    records[name] = records[name].replace(old, new)
    rewrite(path, records)


def rewrite(path, records):
    """Write a torch zip with other records; uncompressed, as torch needs it."""
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def test_what_was_not_read_cannot_be_written_again(tmp_path):
    torch.save(stock_mmengine_checkpoint(), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match="'state_dict' and 'meta'"):
        write_checkpoint(read_checkpoint(tmp_path / 'a.pth'), tmp_path / 'b.pth')
    assert os.listdir(tmp_path) == ['a.pth']


# Refusing


class Evil:
    """Runs a function of choice when it is unpickled."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def assert_refused(path, marker, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_does_not_run(tmp_path, zipped):
    path, marker = tmp_path / 'evil.pth', tmp_path / 'marker'
    evil = Evil(os.system, f'touch {marker}')
    torch.save(
        {'state_dict': weights(), 'meta': evil},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    assert_refused(path, marker, r'needs the Python object \w+\.system.*does not run')
    torch.load(path, weights_only=False)
    assert marker.exists(), 'the file would do no harm: this tests nothing'


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_a_bare_pickle_does_not_run(tmp_path):
    for protocol in range(6):
        path, marker = tmp_path / f'{protocol}.pkl', tmp_path / 'marker'
        evil = Evil(os.system, f'touch {marker}')
        path.write_bytes(pickle.dumps(evil, protocol=protocol))
        assert_refused(path, marker, path.name)


def opcodes(*globals_and_ops):
    return b'\x80\x02' + b''.join(globals_and_ops) + b'.'


def string(text):
    return b'X' + struct.pack('<I', len(text)) + text.encode()


# Pickles that reach for code through the names that have stand-ins, and why not.
GETATTR = b'c__builtin__\ngetattr\n'
ARRAY = b'cnumpy\nndarray\n'
EMPTY = b'}'
HIDING = {
    'call_what_getattr_returns': (
        [GETATTR, ARRAY, string('view'), b'\x86R', b')R'],
        'calls a function',
    ),
    'make_what_getattr_returns': (
        [GETATTR, ARRAY, string('view'), b'\x86R', b')\x81'],
        'Can only create new object',
    ),
    'getattr_of_os': (
        [GETATTR, b'cos\nsystem\n', string('x'), b'\x86R'],
        r'needs the Python object os\.system',
    ),
    'import': (
        [b'c__builtin__\n__import__\n', string('os'), b'\x85R'],
        'needs the Python object __import__',
    ),
    'append': ([ARRAY, b')R', string('x'), b'a'], 'Can only append'),
    'set_item': ([ARRAY, b')R', string('x'), string('y'), b's'], 'Can only SETITEM'),
}


@pytest.mark.parametrize('name', HIDING)
def test_stand_ins_lead_nowhere(tmp_path, name):
    path, (ops, why) = tmp_path / 'evil.pth', HIDING[name]
    rewrite(path, {'evil/data.pkl': opcodes(EMPTY), 'evil/version': '3\n'})
    assert read_checkpoint(path) == {}, 'refused for its form: this tests nothing'
    rewrite(path, {'evil/data.pkl': opcodes(*ops), 'evil/version': '3\n'})
    assert_refused(path, tmp_path / 'marker', why)


def test_a_stand_in_keeps_and_does_nothing(tmp_path):
    path = tmp_path / 'evil.pth'
    state = EMPTY + string('load') + string('x') + b's'
    ops = [EMPTY, string('x'), ARRAY, string('arg'), b'\x85R', state, b'b', b's']
    rewrite(path, {'evil/data.pkl': opcodes(*ops), 'evil/version': '3\n'})
    stand_in = read_checkpoint(path)['x']
    assert not callable(stand_in)
    assert not hasattr(stand_in, '__dict__')
    assert not hasattr(stand_in, 'load')


def touch(path):
    Path(path).touch()


def test_what_others_allowed_is_not_allowed_here_and_stays_theirs(tmp_path):
    path, marker = tmp_path / 'evil.pth', tmp_path / 'marker'
    torch.save({'w': torch.ones(1), 'x': Evil(touch, str(marker))}, path)
    with safe_globals([touch]):
        assert_refused(path, marker, r'needs the Python object \S*touch')
        torch.load(path, weights_only=True)
        assert marker.exists(), 'the file would do no harm: this tests nothing'


def test_getattr_is_not_getattr_even_if_others_allowed_it(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save({'x': Evil(getattr, 'found', 'upper')}, path)
    with safe_globals([getattr]):
        theirs = set(get_safe_globals())
        assert torch.load(path, weights_only=True)['x']() == 'FOUND'
        assert not callable(read_checkpoint(path)['x'])
        assert set(get_safe_globals()) == theirs


# Damage


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(CheckpointError, match=r'no\.pth: cannot be opened: No such'):
        read_checkpoint(tmp_path / 'no.pth')
    with pytest.raises(CheckpointError, match='cannot be opened'):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('keep', [0, 3, 10, 200, 0.5, -1])
def test_truncated_files(tmp_path, zipped, keep):
    path = tmp_path / 'cut.pth'
    torch.save({'w': torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    size = int(keep * len(content)) if isinstance(keep, float) else keep
    path.write_bytes(content[:size])
    with pytest.raises(CheckpointError, match=r'cut\.pth: is (empty|truncated)') as e:
        read_checkpoint(path)
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('content', [b'hello world', b'\x00' * 64, b'PK\x03\x04'])
def test_other_files(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='not a checkpoint'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('obj', 'match'),
    [
        ([torch.ones(1)], 'holds a list'),
        (torch.ones(1), 'holds a Tensor'),
        ({}, 'no weights'),
        ({'state_dict': {}}, 'no weights'),
        ({'state_dict': 3}, 'no weights'),
        ({'state_dict': {'w': torch.ones(1), 'step': 3}}, "key 'step' holds a int"),
        ({'model': {'w': 'text'}}, "key 'model' holds a dict"),
        ({0: torch.ones(1)}, 'key 0'),
    ],
)
def test_what_is_no_state_dict(tmp_path, obj, match):
    torch.save(obj, tmp_path / 'odd.pth')
    with pytest.raises(CheckpointError, match=match) as caught:
        read_state_dict(tmp_path / 'odd.pth')
    assert 'odd.pth' in str(caught.value)


def test_the_error_is_one_that_tools_print():
    assert issubclass(CheckpointError, FFMMError)


# Comparing


def test_the_same_architecture_has_no_problems():
    assert check_same_architecture(weights(), outline(weights()), 'a', 'b') == []


def test_all_kinds_of_difference_are_named_and_counted():
    reference = {f'k{i}': torch.ones(2) for i in range(10)}
    other = {f'k{i}': torch.ones(2) for i in range(5)}
    other |= {'k0': torch.ones(3), 'k1': torch.ones(2).half(), 'new': torch.ones(1)}
    lacks, extra, shape, dtype = check_same_architecture(other, reference, 'a', 'b')
    assert lacks == 'a lacks keys (5), compared with b: k5, k6, k7, ...'
    assert extra == 'a has extra keys (1), compared with b: new'
    assert 'k0 (3,) instead of (2,)' in shape
    assert 'k1 torch.float16 instead of torch.float32' in dtype


# Writing


def test_equal_content_gives_equal_bytes_under_any_name(tmp_path):
    checkpoint = {'state_dict': weights(), 'meta': {'epoch': 1}}
    again = {'state_dict': weights(), 'meta': {'epoch': 1}}
    one = write_checkpoint(checkpoint, tmp_path / 'a.pth')
    two = write_checkpoint(again, tmp_path / 'sub' / 'another_name.pth')
    assert one == two
    paths = [tmp_path / 'a.pth', tmp_path / 'sub' / 'another_name.pth']
    assert paths[0].read_bytes() == paths[1].read_bytes()
    again['state_dict']['w'][0, 0] = 1
    assert write_checkpoint(again, tmp_path / 'a.pth') != one


def test_what_is_written_is_read_here_and_by_plain_torch(tmp_path):
    write_checkpoint({'state_dict': weights()}, tmp_path / 'a.pth')
    assert_equal(read_state_dict(tmp_path / 'a.pth'), weights())
    assert_equal(torch.load(tmp_path / 'a.pth')['state_dict'], weights())


def test_a_file_can_be_rewritten_while_it_is_mapped(tmp_path):
    path = tmp_path / 'a.pth'
    write_checkpoint(weights(), path)
    old = read_state_dict(path)
    write_checkpoint({key: value + 1 for key, value in old.items()}, path)
    assert_equal(old, weights())
