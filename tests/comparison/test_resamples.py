from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from ff_mm.comparison.resamples import Resamples, ResamplesError


def example():
    draw = np.random.default_rng(0)
    return Resamples(
        seed=3,
        values={
            ('test', 'best', 'loss'): draw.normal(size=(2, 7)),
            ('ood/é', 'best', 'loss'): np.array([[np.nan] * 7]),
        },
    )


def test_they_are_read_as_they_were_written_and_equal_ones_are_equal_bytes(tmp_path):
    for name in ('a.npz', 'b.npz'):
        example().save(tmp_path / name)
    found = Resamples.read(tmp_path / 'a.npz')
    assert found.seed == 3
    assert found.values.keys() == example().values.keys()
    for key, values in example().values.items():
        np.testing.assert_array_equal(found.values[key], values)
    assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


def changed(path, **arrays):
    example().save(path)
    with np.load(path) as file:
        kept = dict(file)
    np.savez(path, **{**kept, **arrays})


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        (dict(runs=np.array([0, 2, 0])), 'runs are not in order'),
        (dict(values=np.zeros((3, 7), object)), 'allow_pickle'),
        (dict(seed=np.array('3')), "'seed' is of type"),
        (dict(values=np.zeros((2, 7))), 'shorter'),
    ],
    ids=['runs', 'pickled', 'seed', 'rows'],
)
def test_what_is_damaged_is_one_line(tmp_path, arrays, message):
    changed(tmp_path / 'r.npz', **arrays)
    with pytest.raises(ResamplesError, match=message) as error:
        Resamples.read(tmp_path / 'r.npz')
    assert '\n' not in str(error.value)


def test_what_is_compressed_or_no_such_file_is_refused(tmp_path):
    array = io.BytesIO()
    np.save(array, np.zeros(9))
    with zipfile.ZipFile(tmp_path / 'r.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('values.npy', array.getvalue())
    with pytest.raises(ResamplesError, match=r'r\.npz: damaged.*compressed'):
        Resamples.read(tmp_path / 'r.npz')
    with pytest.raises(ResamplesError, match=r'none\.npz: no such file'):
        Resamples.read(tmp_path / 'none.npz')
