from __future__ import annotations

import enum
import io
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from contextlib import suppress

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from ff_mm.plain import BUFFER, check_tuples, to_plain


def round_trip(value, tmp_path):
    torch.save(value, tmp_path / 'a.pth')
    return torch.load(tmp_path / 'a.pth', weights_only=True)


def test_numpy_becomes_python(tmp_path):
    plain = to_plain(
        dict(
            a=np.float64(0.5),
            b=np.int32(3),
            c=np.bool_(True),
            d=np.arange(3),
            e=(np.float32(1), [np.str_('x')]),
        )
    )
    assert plain == dict(a=0.5, b=3, c=True, d=[0, 1, 2], e=(1.0, ['x']))
    kinds = [type(plain[key]) for key in 'abcd']
    assert kinds == [float, int, bool, list]
    assert type(plain['e'][1][0]) is str
    assert round_trip(plain, tmp_path) == plain


def test_nan_stays_nan():
    assert np.isnan(to_plain([np.float64('nan')])[0])


def test_tensors_are_the_same_objects():
    tensor = torch.ones(2)
    assert to_plain(dict(a=[tensor]))['a'][0] is tensor


def test_a_history_buffer_can_be_rebuilt(tmp_path):
    buffer = HistoryBuffer([1.0, 2.0, 4.0], [1, 1, 2], max_length=7)
    plain = round_trip(to_plain(buffer), tmp_path)
    again = HistoryBuffer(*(plain[name] for name in BUFFER))
    assert again.mean(3) == buffer.mean(3)
    assert again.max_length == 7


@pytest.mark.parametrize(
    'value',
    [
        OrderedDict(a=1),
        ConfigDict(a=dict(b=[1, 2])),
        defaultdict(list, a=[1]),
        {'a': {1: 'x', 2.5: None}},
    ],
)
def test_dicts_of_any_kind_load_safely_and_are_equal(value, tmp_path):
    plain = round_trip(to_plain(value), tmp_path)
    assert plain == dict(value)
    assert type(plain) in (dict, OrderedDict)


class Colour(enum.IntEnum):
    RED = 1


def test_subclasses_of_plain_types_load_safely_or_are_refused(tmp_path):
    assert round_trip(to_plain([torch.Size([1, 2])]), tmp_path) == [(1, 2)]
    with suppress(TypeError):
        assert round_trip(to_plain([Colour.RED]), tmp_path) == [1]


@pytest.mark.parametrize(
    ('value', 'path'),
    [
        (dict(a=dict(b=[0, {1}])), r'top\.a\.b\[1\] is a builtins\.set'),
        (dict(a=print), r'top\.a is a builtins\.builtin_function'),
        (dict(a=(object(),)), r'top\.a\[0\] is a builtins\.object'),
    ],
)
def test_what_could_not_be_loaded_is_named_with_its_place(value, path):
    with pytest.raises(TypeError, match=path):
        to_plain(value, 'top')


def tuples(depth, key=b'K\x01u.'):
    return b'\x80\x02}(' + b')' + b'\x85' * depth + key


def doubled(times):
    """Tuples of twice the same, which is one object."""
    steps = b''.join(
        b'q' + bytes([i]) + b'h' + bytes([i]) + b'\x86' for i in range(times)
    )
    return b'\x80\x02}()' + steps + b'K\x01s.'


@pytest.mark.parametrize('zipped', [True, False])
def test_what_is_saved_nests_no_tuples_too_deep(zipped):
    content = {(1, (2, (3,))): [torch.ones(2)] * 3, 'a': OrderedDict(b={1: ((),)})}
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    if zipped:
        with zipfile.ZipFile(file) as archive:
            check_tuples(archive.read('archive/data.pkl'))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        check_tuples(pickle.dumps(content, protocol=protocol))
        check_tuples(pickle.dumps(list(range(9)) + [(i,) for i in range(3000)]))
    check_tuples(tuples(900))


@pytest.mark.parametrize(
    'content',
    [
        tuples(3_000_000),
        doubled(60),
        # A mark between, the memo, a second value, and a build that gives it back.
        b'\x80\x02}(' + b')' + b'(K\x01K\x02t0' * 3 + b'\x85' * 2000 + b'K\x01u.',
        b'\x80\x02}(' + b')' + b'q\x00h\x00\x86' * 2000 + b'K\x01u.',
        b'\x80\x02}(' + b')' + b'\x85Nb' * 2000 + b'K\x01u.',
    ],
)
def test_tuples_that_would_end_the_process_are_refused(content):
    with pytest.raises(ValueError, match='tuples within each other'):
        check_tuples(content)


@pytest.mark.parametrize('content', [b'', b'\x80\x02h\x00.', b'hello', b't.'])
def test_what_is_no_pickle_has_no_tuples(content):
    with pytest.raises(ValueError):
        check_tuples(content)
