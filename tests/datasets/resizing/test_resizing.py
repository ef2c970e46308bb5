from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_files import make_dicom
from rich.console import Console

from ff_mm.datasets import HAM10000, fingerprint
from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.resizing.resizing import MANIFEST, ResizeOptions, resize_dataset
from ff_mm.datasets.resizing.summary import resize_summary
from ff_mm.files import NotRegularError, read_json, write_json

SMALL = ResizeOptions(short_side=10)


def write(
    path: Path, height: int = 30, width: int = 40, value: int = 100, age: float = 1e9
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width, 3), value, dtype=np.uint8)
    pixels[: height // 2] //= 2
    cv2.imwrite(str(path), pixels)
    # From an archive: older than whatever is made of it.
    os.utime(path, (age, age))
    return path


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two folders with an image each, an image small enough, a table."""
    folder = tmp_path / 'source'
    write(folder / 'train' / 'a.jpg')
    write(folder / 'test' / 'deep' / 'b.PNG', 40, 30)
    write(folder / 'small.jpeg', 8, 12)
    (folder / 'labels.csv').write_text('image,label\na,1\n')
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / 'target'


def names(folder: Path) -> set[str]:
    return set(content(folder)) - {MANIFEST}


class TestCopy:
    def test_tree_names_and_sizes(self, source, target):
        report = resize_dataset(source, target, SMALL)
        assert names(target) == names(source)
        assert read(target / 'train' / 'a.jpg').shape == (10, 13, 3)
        assert read(target / 'test' / 'deep' / 'b.PNG').shape == (13, 10, 3)
        assert report.states == dict(resized=2, copied=1)
        assert report.other_files == 1 and not report.unreadable

    def test_what_needs_no_change_is_the_same_byte_for_byte(self, source, target):
        resize_dataset(source, target, SMALL)
        for name in ('small.jpeg', 'labels.csv'):
            assert (target / name).read_bytes() == (source / name).read_bytes()

    def test_the_source_is_left_alone(self, source, target):
        before = content(source)
        resize_dataset(source, target, SMALL)
        assert content(source) == before

    def test_grey_stays_grey(self, source, target):
        cv2.imwrite(
            str(source / 'g.png'), np.arange(900, dtype=np.uint8).reshape(30, 30)
        )
        resize_dataset(source, target, SMALL)
        assert read(target / 'g.png').shape == (10, 10)

    def test_the_data_set_class_reads_the_copy(self, dataverse, tmp_path_factory):
        target = tmp_path_factory.mktemp('target')
        resize_dataset(dataverse, target, ResizeOptions(short_side=4))
        before, after = (HAM10000(str(folder)) for folder in (dataverse, target))
        assert fingerprint(before) == fingerprint(after)
        assert read(Path(after.get_data_info(0)['img_path'])).shape[:2] == (4, 5)

    def test_several_workers_do_the_same(self, source, target, tmp_path):
        for number in range(40):
            write(source / f'{number}.jpg', value=number)
        resize_dataset(source, target, SMALL, workers=2)
        resize_dataset(source, tmp_path / 'other', SMALL, workers=1)
        assert content(target) == content(tmp_path / 'other')

    def test_hidden_files_and_archives_stay_behind(self, source, target):
        for name in ('._a.jpg', '.DS_Store', 'train.zip.001', 'all.tar.gz'):
            (source / name).write_bytes(b'x')
        for name in ('.ipynb_checkpoints', '@eaDir'):
            (source / name).mkdir()
            (source / name / 'a.jpg').write_bytes(b'x')
        (source / 'table.csv.gz').write_bytes(b'x')
        report = resize_dataset(source, target, SMALL)
        assert report.archives == ['all.tar.gz', 'train.zip.001']
        assert not report.unreadable
        new = {'labels.csv', 'small.jpeg', 'table.csv.gz'}
        assert {path.name for path in target.iterdir() if path.is_file()} == {
            *new,
            MANIFEST,
        }

    def test_links_are_followed_but_not_in_circles(self, source, target, tmp_path):
        write(tmp_path / 'elsewhere' / 'c.jpg')
        (source / 'linked').symlink_to(tmp_path / 'elsewhere')
        (source / 'again').symlink_to(tmp_path / 'elsewhere')
        (tmp_path / 'elsewhere' / 'back').symlink_to(source)
        target.mkdir()
        (source / 'out').symlink_to(target)
        resize_dataset(source, target, SMALL)
        linked = {'linked/c.jpg', 'again/c.jpg'}
        assert names(target) == {
            'train/a.jpg',
            'test/deep/b.PNG',
            'small.jpeg',
            'labels.csv',
            *linked,
        }
        assert not (target / 'linked').is_symlink()


class TestFormat:
    def test_another_format_changes_the_extension_where_it_must(self, source, target):
        report = resize_dataset(source, target, ResizeOptions(10, 'jpg'))
        assert names(target) == {
            'train/a.jpg',
            'test/deep/b.jpg',
            'small.jpeg',
            'labels.csv',
        }
        assert report.renamed == {'.PNG': '.jpg'}
        assert (target / 'test/deep/b.jpg').read_bytes().startswith(b'\xff\xd8')

    def test_a_small_image_is_written_anew_in_another_format(self, source, target):
        resize_dataset(source, target, ResizeOptions(100, 'png'))
        assert (target / 'small.png').read_bytes().startswith(b'\x89PNG')
        assert read(target / 'small.png').shape == (8, 12, 3)

    @pytest.mark.parametrize(('kind', 'name'), [('keep', 'x.png'), ('jpg', 'x.jpg')])
    def test_dicom(self, source, target, kind, name):
        pixels = np.tile(np.arange(40, dtype=np.uint8) * 5, (30, 1))
        (source / 'x.dcm').write_bytes(make_dicom(pixels))
        report = resize_dataset(source, target, ResizeOptions(30, kind))
        image = read(target / name).astype(int)
        np.testing.assert_allclose(image, pixels, atol=0 if kind == 'keep' else 3)
        assert report.renamed['.dcm'] == f'.{name[-3:]}'

    def test_dicom_without_pydicom_is_one_line(self, source, target, monkeypatch):
        (source / 'x.dcm').write_bytes(b'')
        monkeypatch.setitem(sys.modules, 'pydicom', None)
        with pytest.raises(DatasetError, match='pip install "pydicom>=3"'):
            resize_dataset(source, target, SMALL)
        assert not target.exists()

    def test_two_images_that_would_get_one_name_are_refused(self, source, target):
        write(source / 'train' / 'a.png')
        with pytest.raises(DatasetError, match=r"'jpg': 1 \(train/a\.jpg\)"):
            resize_dataset(source, target, ResizeOptions(10, 'jpg'))
        assert not target.exists()
        resize_dataset(source, target, SMALL)


class TestResuming:
    def test_what_is_done_is_not_done_again(self, source, target):
        resize_dataset(source, target, SMALL)
        before = {path: path.stat().st_ino for path in target.rglob('*.*g')}
        report = resize_dataset(source, target, SMALL)
        assert report.states == dict(done=3)
        assert {path: path.stat().st_ino for path in before} == before

    def test_an_interrupted_run_ends_as_an_unbroken_one(self, source, target, tmp_path):
        for number in range(9):
            write(source / f'{number}.jpg', value=number)
        resize_dataset(source, tmp_path / 'unbroken', SMALL)

        original, calls = shutil.copyfileobj, iter(range(99))

        def interrupted(source, target):
            target.write(source.read(20))
            if next(calls) == 6:
                raise KeyboardInterrupt
            original(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, 'copyfileobj', interrupted)
            with pytest.raises(KeyboardInterrupt):
                resize_dataset(source, target, SMALL)
        done = len(names(target))
        assert 0 < done < len(names(source))
        assert not read_json(target / MANIFEST)['complete']
        report = resize_dataset(source, target, SMALL)
        assert 0 < report.states['done'] < 12
        assert content(target) == content(tmp_path / 'unbroken')

    def test_a_changed_image_is_done_again(self, source, target):
        resize_dataset(source, target, SMALL)
        before = (target / 'train' / 'a.jpg').read_bytes()
        # Even if it is older than before.
        write(source / 'train' / 'a.jpg', value=200, age=9e8)
        (source / 'labels.csv').write_text('image,label\na,2\n')
        report = resize_dataset(source, target, SMALL)
        assert report.states == dict(resized=1, done=2)
        assert (target / 'train' / 'a.jpg').read_bytes() != before
        assert (target / 'labels.csv').read_text().endswith('a,2\n')

    def test_an_empty_result_is_not_taken_for_done(self, source, target):
        resize_dataset(source, target, SMALL)
        result = target / 'train' / 'a.jpg'
        times = result.stat().st_mtime_ns
        result.write_bytes(b'')
        os.utime(result, ns=(times, times))
        assert resize_dataset(source, target, SMALL).states['resized'] == 1
        assert read(result).shape == (10, 13, 3)

    def test_other_options_are_refused_unless_it_is_all_made_anew(self, source, target):
        resize_dataset(source, target, SMALL)
        other = ResizeOptions(short_side=5)
        with pytest.raises(DatasetError, match=r'short_side 10 -> 5.*or --overwrite'):
            resize_dataset(source, target, other)
        assert read(target / 'train' / 'a.jpg').shape == (10, 13, 3)
        report = resize_dataset(source, target, other, overwrite=True)
        assert report.states == dict(resized=3)
        assert read(target / 'train' / 'a.jpg').shape == (5, 7, 3)

    def test_an_interrupted_overwriting_leaves_nothing_of_the_old_size(
        self, source, target, monkeypatch
    ):
        resize_dataset(source, target, SMALL)
        other = ResizeOptions(short_side=5)
        with monkeypatch.context() as patch:
            patch.setattr('ff_mm.datasets.resizing.resizing.track', lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                resize_dataset(source, target, other, overwrite=True)
        resize_dataset(source, target, other)
        assert read(target / 'train' / 'a.jpg').shape == (5, 7, 3)

    def test_another_format_needs_another_folder(self, source, target):
        resize_dataset(source, target, SMALL)
        for overwrite in (False, True):
            with pytest.raises(DatasetError) as caught:
                resize_dataset(source, target, ResizeOptions(10, 'png'), 1, overwrite)
            assert 'format keep -> png' in str(caught.value)
            assert '--overwrite' not in str(caught.value)

    def test_another_source_is_refused(self, source, target, tmp_path):
        resize_dataset(source, target, SMALL)
        other = shutil.copytree(source, tmp_path / 'other')
        with pytest.raises(DatasetError, match=r'source .*source -> .*other'):
            resize_dataset(other, target, SMALL)

    def test_a_damaged_manifest(self, source, target):
        resize_dataset(source, target, SMALL)
        for text in ('{', '[]', '{}'):
            (target / MANIFEST).write_text(text)
            with pytest.raises(DatasetError, match=r'resized\.json.*another folder'):
                resize_dataset(source, target, SMALL)


class TestUnreadable:
    def test_are_listed_and_stop_nothing(self, source, target):
        (source / 'bad.jpg').write_bytes(b'<html>')
        cut = source / 'train' / 'cut.jpg'
        cut.write_bytes((source / 'train' / 'a.jpg').read_bytes()[:-100])
        (source / 'gone.jpg').symlink_to(source / 'nowhere')
        report = resize_dataset(source, target, SMALL)
        assert report.states == dict(resized=2, copied=1, unreadable=3)
        assert list(report.unreadable) == ['bad.jpg', 'gone.jpg', 'train/cut.jpg']
        assert report.unreadable['bad.jpg'] == 'it is no image, or of an unknown kind'
        assert 'truncated' in report.unreadable['train/cut.jpg']
        assert report.unreadable['gone.jpg'] == 'No such file or directory'
        assert not (target / 'bad.jpg').exists()
        assert read_json(target / MANIFEST)['unreadable'] == report.unreadable

    def test_what_is_no_file_of_the_set_is_neither_read_nor_copied(
        self, source, target, tmp_path
    ):
        os.mkfifo(source / 'f.png')
        os.mkfifo(source / 'notes.txt')
        (source / 'train' / 'z.jpg').symlink_to('/dev/zero')
        (source / 'z.txt').symlink_to('/dev/zero')
        secrets = tmp_path / 'secrets'
        secrets.mkdir()
        (secrets / 'key').write_text('mine')
        (source / 'key').symlink_to(secrets / 'key')
        (source / 'keys').symlink_to(secrets)
        (source / 'again.csv').symlink_to('labels.csv')
        report = resize_dataset(source, target, SMALL)
        assert report.unreadable == {
            'f.png': 'is a pipe, expected a regular file; remove it',
            'train/z.jpg': 'is a device, expected a regular file; remove it',
        }
        out = 'is a link that leads out of the folder'
        assert report.left_out == {
            'key': out,
            'keys/key': out,
            'notes.txt': 'is no regular file',
            'z.txt': 'is no regular file',
        }
        assert names(target) == {
            *('train/a.jpg', 'test/deep/b.PNG', 'small.jpeg'),
            *('labels.csv', 'again.csv'),
        }
        assert read_json(target / MANIFEST)['left_out'] == report.left_out
        console = Console(file=io.StringIO(), width=120)
        resize_summary(report, str(target), 1, console)
        assert f'  keys/key: {out}\n' in console.file.getvalue()

    def test_nothing_is_written_through_a_folder_that_is_a_link(self, source, target):
        target.mkdir()
        (target / 'train').symlink_to(source / 'train')
        with pytest.raises(NotRegularError, match='train: is a link that leads out'):
            resize_dataset(source, target, SMALL)

    def test_a_damaged_image_that_is_small_enough_is_not_copied(self, source, target):
        path = source / 'small.jpeg'
        path.write_bytes(path.read_bytes()[:-20])
        report = resize_dataset(source, target, SMALL)
        assert list(report.unreadable) == ['small.jpeg']

    def test_are_tried_again(self, source, target):
        (source / 'bad.jpg').write_bytes(b'')
        resize_dataset(source, target, SMALL)
        write(source / 'bad.jpg')
        assert resize_dataset(source, target, SMALL).states == dict(resized=1, done=3)


class TestBits:
    @pytest.fixture
    def source(self, tmp_path):
        (tmp_path / 'deep').mkdir()
        pixels = np.linspace(0, 4095, 400).astype(np.uint16).reshape(20, 20)
        cv2.imwrite(str(tmp_path / 'deep' / 'x.png'), pixels)
        return tmp_path / 'deep'

    @staticmethod
    def said(report):
        file = io.StringIO()
        resize_summary(report, 'copy', 1, Console(file=file, width=400))
        return file.getvalue()

    def test_jpeg_has_the_range_that_is_said(self, source, target):
        options = ResizeOptions(20, 'jpg', 95, bits=12)
        report = resize_dataset(source, target, options)
        assert cv2.imread(str(target / 'x.jpg')).max() > 250
        assert '--bits' not in self.said(report)

    def test_without_the_option_the_summary_names_it(self, source, target):
        report = resize_dataset(source, target, ResizeOptions(20, 'jpg'))
        assert cv2.imread(str(target / 'x.jpg')).max() < 20
        assert 'largest value is 4095 (12 bits): --bits 12' in self.said(report)

    def test_png_keeps_its_values(self, source, target):
        report = resize_dataset(source, target, ResizeOptions(10, 'png'))
        kept = cv2.imread(str(target / 'x.png'), cv2.IMREAD_UNCHANGED)
        assert kept.dtype == np.uint16 and kept.max() > 3900
        assert '--bits' not in self.said(report)

    def test_an_earlier_copy_knew_nothing_of_bits(self, source, target):
        resize_dataset(source, target, SMALL)
        manifest = read_json(target / 'resized.json')
        del manifest['made_with']['bits']
        write_json(manifest, target / 'resized.json')
        assert resize_dataset(source, target, SMALL).states == dict(done=1)


class TestRefused:
    def test_folders_within_each_other(self, source):
        (source.parent / 'link').symlink_to(source)
        for target in (source, source / 'x', source.parent, source.parent / 'link'):
            with pytest.raises(DatasetError, match='must not be, hold or lie in'):
                resize_dataset(source, target, SMALL)

    def test_a_folder_with_something_else_in_it(self, source, target):
        target.mkdir()
        (target / 'precious.txt').write_text('x')
        for overwrite in (False, True):
            with pytest.raises(DatasetError, match=r'but no resized\.json'):
                resize_dataset(source, target, SMALL, overwrite=overwrite)
        assert content(target) == {'precious.txt': b'x'}

    def test_an_empty_folder_is_fine(self, source, target):
        target.mkdir()
        assert resize_dataset(source, target, SMALL).states.total() == 3

    def test_no_source_and_no_image(self, source, target, tmp_path):
        with pytest.raises(DatasetError, match=r'absent: no such folder'):
            resize_dataset(tmp_path / 'absent', target, SMALL)
        (tmp_path / 'empty').mkdir()
        with pytest.raises(DatasetError, match=r'empty: there is no image \(\.jpg'):
            resize_dataset(tmp_path / 'empty', target, SMALL)

    def test_a_target_that_cannot_be_written(self, source, tmp_path):
        (tmp_path / 'file').write_text('x')
        with pytest.raises(DatasetError, match='it is a file, expected a folder'):
            resize_dataset(source, tmp_path / 'file', SMALL)
        with pytest.raises(DatasetError, match='cannot be written: Not a directory'):
            resize_dataset(source, tmp_path / 'file' / 'x', SMALL)

    @pytest.mark.parametrize(
        'options', [dict(short_side=0), dict(format='gif'), dict(quality=101)]
    )
    def test_options(self, options):
        with pytest.raises(ValueError, match=str(*options.values())):
            ResizeOptions(**{'short_side': 10, **options})
