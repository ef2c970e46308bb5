from __future__ import annotations

import copy
import multiprocessing
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from many_processes import PATIENCE

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.image_cache import store
from ff_mm.datasets.image_cache.store import Record, RecordFile, write_records
from ff_mm.errors import ConfigError

PIXELS = arrays.arrays(
    st.sampled_from(['uint8', 'uint16', 'int32', 'float32', 'bool']),
    arrays.array_shapes(min_dims=2, max_dims=3, max_side=5),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=2),
    max_leaves=4,
) | st.floats(allow_nan=False, allow_infinity=False)
FACTS = st.dictionaries(st.text(max_size=4), PLAIN, max_size=3)
NAMES = st.text(st.characters(exclude_categories=()), min_size=1, max_size=5)


def write(path, *records):
    write_records(path, records)
    return RecordFile(path)


def image(name='a.png', value=7, **facts):
    return Record(name, np.full((2, 3, 3), value, np.uint8), facts)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(NAMES, st.tuples(PIXELS, FACTS), max_size=5))
def test_what_is_written_is_what_is_read(tmp_path_factory, images):
    # Half of a pair of surrogates is no file name: Python makes others of odd bytes.
    images = {
        name: value
        for name, value in images.items()
        if not any('\ud800' <= c <= '\udc7f' or '\udd00' <= c <= '\udfff' for c in name)
    }
    records = [Record(name, *value) for name, value in images.items()]
    file = write(tmp_path_factory.mktemp('records') / 'x.npy', *records)
    for record in records:
        found = file.find(record.name)
        assert found.facts == record.facts
        assert repr(found.facts) == repr(record.facts)  # tuples stay tuples
        assert found.pixels.dtype == record.pixels.dtype
        np.testing.assert_array_equal(found.pixels, record.pixels)
    assert file.find('something else') is None


def test_pixels_in_another_order_come_back_as_they_look(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1].transpose(1, 0, 2)
    found = write(tmp_path / 'x.npy', Record('a', pixels, {})).find('a')
    assert (found.pixels == pixels).all()
    assert found.pixels.flags.c_contiguous


def test_what_is_done_to_an_image_is_not_done_to_the_file(tmp_path):
    file = write(tmp_path / 'x.npy', image(shape=(2, 3)))
    first = file.find('a.png')
    first.pixels[:] = 0
    first.facts.clear()
    again = file.find('a.png')
    assert (again.pixels == 7).all()
    assert again.facts == dict(shape=(2, 3))


def test_names_with_the_same_first_half_of_a_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(store, '_hash', lambda name: (5, len(name)))
    file = write(tmp_path / 'x.npy', image('a'))
    assert file.find('a') is not None
    assert file.find('bb') is None


@pytest.mark.parametrize('duplicate', [copy.deepcopy, copy.copy, pickle.dumps])
def test_copies_open_the_file_anew(tmp_path, duplicate):
    file = write(tmp_path / 'x.npy', image(value=1), image('b.png', value=2))
    closed = len(pickle.dumps(file))
    file.find('a.png')
    assert len(pickle.dumps(file)) == closed < 500
    twin = duplicate(file)
    twin = pickle.loads(twin) if isinstance(twin, bytes) else twin
    assert (twin.find('b.png').pixels == 2).all()


def read_in_another_process(file, connection):
    connection.send(int(file.find('a.png').pixels[0, 0, 0]))


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_other_processes_read_it(tmp_path, method):
    file = write(tmp_path / 'x.npy', image())
    file.find('a.png')  # open here already
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    process = context.Process(target=read_in_another_process, args=(file, there))
    process.start()
    assert here.poll(PATIENCE) and here.recv() == 7
    process.join()


def test_no_images_at_all(tmp_path):
    file = write(tmp_path / 'x.npy')
    assert file.size == 0
    assert file.find('a.png') is None


def test_what_was_begun_and_not_ended_is_not_there(tmp_path):
    def records():
        yield image()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / 'x.npy', records())
    assert not list(tmp_path.iterdir())


def test_a_file_is_whole_or_it_does_not_count(tmp_path):
    file = write(tmp_path / 'x.npy', image())
    pixels = tmp_path / 'x.pixels'
    assert file.size == pixels.stat().st_size > 18
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert file.size is None
    pixels.unlink()
    assert file.size is None


@pytest.mark.parametrize('content', [b'', b'garbage', None])
def test_a_damaged_index_does_not_count_and_is_named(tmp_path, content):
    file = write(tmp_path / 'x.npy', image())
    if content is None:
        np.save(file.path, np.zeros(3))
    else:
        file.path.write_bytes(content)
    assert file.size is None
    with pytest.raises(DatasetError, match=r'x\.npy: this cache of images is gone or'):
        file.find('a.png')


def test_a_file_that_was_removed_while_it_is_used(tmp_path):
    file = write(tmp_path / 'x.npy', image())
    (tmp_path / 'x.pixels').unlink()
    with pytest.raises(DatasetError, match='give the same command again'):
        file.find('a.png')


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def test_an_index_of_objects_is_never_unpickled(tmp_path):
    marker = tmp_path / 'it-ran'
    evil = np.array([Malicious(str(marker))], dtype=object)
    np.save(tmp_path / 'x.npy', evil, allow_pickle=True)
    assert RecordFile(tmp_path / 'x.npy').size is None
    assert not marker.exists()


@pytest.mark.parametrize(
    ('record', 'message'),
    [
        (Record('a.png', np.array([[None]]), {}), 'a.png is loaded as object'),
        (image(mask=np.zeros(2)), 'what is loaded of a.png besides the pixels'),
        (image(score=float('inf')), 'cannot be kept'),
        (image(when=object), 'cannot be kept'),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(tmp_path, record, message):
    with pytest.raises(ConfigError, match=message):
        write(tmp_path / 'x.npy', record)
    assert not list(tmp_path.iterdir())
