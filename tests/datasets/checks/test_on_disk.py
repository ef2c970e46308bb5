from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ff_mm.datasets.checks import on_disk
from ff_mm.datasets.checks.on_disk import (
    differences,
    images_identity,
    images_on_disk,
    keep_images_file,
)
from ff_mm.datasets.errors import DatasetError


class Images:
    """As much of a data set as is looked at."""

    def __init__(self, root, infos=None):
        self.data_root = str(root)
        paths = sorted(path for path in root.rglob('*') if path.is_file())
        self.infos = infos or [dict(img_path=str(path)) for path in paths]

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


@pytest.fixture
def images(tmp_path):
    for number in range(8):
        path = tmp_path / 'data' / 'ab'[number % 2] / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 100)
    return Images(tmp_path / 'data')


def touch(path):
    """Gives a file another time, as if it had been written."""
    time = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(time, time))


def replace(path, content):
    path.write_bytes(content)
    touch(path)


def of_limit(monkeypatch, content):
    """Sets from 400 bytes on are too large to be read whole."""
    if not content:
        monkeypatch.setattr(on_disk, 'READ_BYTES', 400)


@pytest.mark.parametrize('content', [True, False])
@pytest.mark.parametrize('number', range(8))
def test_one_replaced_image_is_another_set(images, monkeypatch, content, number):
    of_limit(monkeypatch, content)
    before = images_on_disk(images)
    assert sum(bool(image.content) for image in before) == (8 if content else 4)
    was = images_identity(images)
    path = Path(images.infos[number]['img_path'])
    replace(path, b'x' * 100)
    assert images_identity(images) != was
    assert differences(before, images_on_disk(images)) == [
        path.relative_to(images.data_root).as_posix()
    ]


def test_content_is_what_counts_whatever_the_times_say(images, tmp_path):
    before, was = images_on_disk(images), images_identity(images)
    path = tmp_path / 'data' / 'a' / '0.png'
    touch(path)
    assert images_identity(images) == was
    assert differences(before, images_on_disk(images)) == []
    time = path.stat().st_mtime_ns
    path.write_bytes(b'x' * 100)
    os.utime(path, ns=(time, time))
    assert differences(before, images_on_disk(images)) == ['a/0.png']


def test_a_copy_of_a_set_too_large_to_read_is_the_same(images, tmp_path, monkeypatch):
    of_limit(monkeypatch, False)
    before = images_on_disk(images)
    shutil.copytree(tmp_path / 'data', tmp_path / 'copy')
    for path in (tmp_path / 'copy').rglob('*.png'):
        touch(path)
    copy = Images(tmp_path / 'copy')
    assert differences(before, images_on_disk(copy)) == []
    replace(tmp_path / 'copy' / 'a' / '0.png', b'x' * 100)  # one that is read
    assert differences(before, images_on_disk(copy)) == ['a/0.png']


def test_of_a_large_set_one_time_is_enough(images, tmp_path, monkeypatch):
    of_limit(monkeypatch, False)
    before = images_on_disk(images)
    unread = next(image.file for image in before if not image.content)
    touch(tmp_path / 'data' / unread)
    assert differences(before, images_on_disk(images)) == [unread]


def test_images_that_are_gone_or_new_differ(images, tmp_path):
    before = images_on_disk(images)
    (tmp_path / 'data' / 'a' / '0.png').rename(tmp_path / 'data' / 'a' / '9.png')
    assert differences(before, images_on_disk(Images(tmp_path / 'data'))) == [
        'a/0.png',
        'a/9.png',
    ]


def test_neither_order_nor_place_matters(images, tmp_path):
    was = images_identity(images)
    images.infos.reverse()
    assert images_identity(images) == was
    shutil.copytree(tmp_path / 'data', tmp_path / 'elsewhere' / 'data')
    assert images_identity(Images(tmp_path / 'elsewhere' / 'data')) == was


def test_a_pipe_in_the_place_of_an_image_is_not_waited_for(images, tmp_path):
    path = tmp_path / 'data' / 'a' / '0.png'
    path.unlink()
    os.mkfifo(path)
    assert images_on_disk(images)[0].size == -1


def test_images_in_arrays_are_known_by_their_pixels(images, tmp_path):
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    infos = [dict(img=image, image_id=f'x{n}') for n, image in enumerate(pixels)]
    arrays = Images(tmp_path, infos)
    before = images_on_disk(arrays)
    pixels[1, 0, 0, 0] = 1
    assert differences(before, images_on_disk(arrays)) == ['x1']


def test_a_run_keeps_to_the_images_with_which_it_began(images, tmp_path):
    path = tmp_path / 'work' / 'images.csv'
    assert keep_images_file(path, dict(train=images)) is False
    written = path.read_bytes()
    assert keep_images_file(path, dict(train=images)) is True
    replace(tmp_path / 'data' / 'b' / '1.png', b'y')
    with pytest.raises(DatasetError, match=r"1 of 8 images of train.*'b/1\.png'"):
        keep_images_file(path, dict(train=images))
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    'text', ['', 'x,y\n', 'split,file,size,time,content\na,b\n', '\xff\n', '"']
)
def test_a_damaged_file_of_images_is_refused(images, tmp_path, text):
    path = tmp_path / 'images.csv'
    path.write_text(text, encoding='latin-1')
    with pytest.raises(DatasetError, match=r'images\.csv: cannot be read'):
        keep_images_file(path, dict(train=images))
