from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.files.finding import (
    find_file,
    find_image,
    scan,
    walk,
    without_extension,
)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


class TestWalk:
    def test_in_order_without_hidden_files(self, tmp_path):
        for name in ('b/2.png', 'b/1.png', 'a/x.csv', 'a/._x.csv'):
            touch(tmp_path / name)
        for folder in ('.git', '__MACOSX', '@eaDir', 'lost+found'):
            touch(tmp_path / folder / 'x.png')
        found = [(Path(f).name, s, n) for f, s, n in walk(str(tmp_path))]
        assert found[0][1:] == (['a', 'b'], [])
        assert found[1:] == [('a', [], ['x.csv']), ('b', [], ['1.png', '2.png'])]

    @pytest.mark.parametrize('error', [PermissionError, OSError])
    @pytest.mark.parametrize('look', [scan, lambda root: find_file(root, 'x.npz')])
    def test_a_folder_that_cannot_be_read_is_not_passed_over(
        self, tmp_path, monkeypatch, error, look
    ):
        touch(tmp_path / 'a' / 'patient7' / 'x.png')
        scandir = os.scandir

        def refuse(path):  # root may read whatever modes say
            if str(path).endswith('patient7'):
                raise error(13, 'Permission denied', str(path))
            return scandir(path)

        monkeypatch.setattr(os, 'scandir', refuse)
        with pytest.raises(DatasetError, match=r'patient7.*\n.*Permission denied'):
            look(str(tmp_path))

    def test_each_folder_once(self, tmp_path):
        touch(tmp_path / 'a' / 'x.png')
        (tmp_path / 'a' / 'loop').symlink_to(tmp_path)
        (tmp_path / 'b').symlink_to(tmp_path / 'a')
        assert [names for *_, names in walk(str(tmp_path))] == [[], ['x.png']]

    def test_spared_folders(self, tmp_path):
        touch(tmp_path / 'a' / 'x.png')
        touch(tmp_path / 'b' / 'y.png')
        found = []
        for _, subfolders, names in walk(str(tmp_path)):
            subfolders[:] = [name for name in subfolders if name != 'a']
            found += names
        assert found == ['y.png']

    def test_absent_folder(self, tmp_path):
        assert list(walk(str(tmp_path / 'nowhere'))) == []


def test_scan_tells_images_and_tables_apart(tmp_path):
    paths = ['a/1.JPG', 'a/2.dcm', 'b/1.png', 'b/t.csv', 'c/t.csv']
    for name in paths:
        touch(tmp_path / name)
    files = scan(str(tmp_path))
    assert files.tables == {'t.csv': str(tmp_path / 'b/t.csv')}
    assert files.images == {
        '1': [str(tmp_path / 'a/1.JPG'), str(tmp_path / 'b/1.png')],
        '2': [str(tmp_path / 'a/2.dcm')],
    }


def test_find_image(tmp_path):
    png = str(touch(tmp_path / 'x.y.png'))
    assert find_image(str(tmp_path / 'x.y.jpg')) == find_image(png) == png
    jpg = str(touch(tmp_path / 'x.y.jpg'))
    assert find_image(jpg) == jpg and find_image(png) == png
    assert find_image(str(tmp_path / 'x.jpg')) is None


def test_an_id_may_have_dots():
    assert without_extension('scan_1.5mm.PNG') == 'scan_1.5mm'
    assert without_extension('scan_1.5mm') == 'scan_1.5mm'


def test_find_file(tmp_path):
    for path in ('b/x.npy', 'a/deep/x.npy', 'a/deep/deeper/y.npy'):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text('')
    (tmp_path / 'x.npy').mkdir()
    assert find_file(str(tmp_path), 'x.npy') == str(tmp_path / 'b' / 'x.npy')
    assert find_file(str(tmp_path), 'deep/x.npy') == str(tmp_path / 'a/deep/x.npy')
    assert find_file(str(tmp_path), 'y.npy') is None
    assert find_file(str(tmp_path / 'nowhere'), 'x.npy') is None


class TestFilesOfOneName:
    @pytest.fixture
    def two(self, tmp_path: Path) -> Path:
        for folder, text in (('a', b'x,y\n1,2\n'), ('b', b'x,y\n1,3\n')):
            touch(tmp_path / folder / 't.csv').write_bytes(text)
        return tmp_path

    def test_other_content_is_an_error_for_who_asks(self, two):
        tables = scan(str(two)).tables
        assert 't.csv' in tables
        for ask in (tables.__getitem__, tables.get):
            with pytest.raises(DatasetError, match=r"a/t\.csv' and '.*b/t\.csv'"):
                ask('t.csv')

    @pytest.mark.parametrize(
        'same',
        [b'x,y\n1,2\n', b'x,y\r\n1,2\r\n', gzip.compress(b'x,y\n1,2', mtime=0)],
    )
    def test_the_first_of_those_that_say_the_same(self, two, same):
        (two / 'b' / 't.csv').write_bytes(same)
        assert scan(str(two)).tables['t.csv'] == str(two / 'a' / 't.csv')

    def test_of_a_file_of_the_authors(self, two):
        assert find_file(str(two), 'a/t.csv') == str(two / 'a' / 't.csv')
        with pytest.raises(DatasetError, match=r'2 files of this name'):
            find_file(str(two), 't.csv')
