from __future__ import annotations

import os

import pytest

from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.image_cache.folder import make_own_folder, remove_own_files

OWN = '0123456789abcdef.npy', '0123456789abcdef.pixels', 'fedcba9876543210.npy'
PART = '.0123456789abcdef.pixels.00112233aabbccdd.part'
OTHERS = 'thesis.txt', '0123456789abcdef.jpg', 'photo.npy', '.part'


def fill(folder):
    folder.mkdir()
    for name in (*OWN, PART, *OTHERS):
        (folder / name).touch()
    (folder / 'more').mkdir()


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_only_names_of_its_own_are_removed(tmp_path):
    fill(tmp_path / 'cache')
    remove_own_files(tmp_path / 'cache', keep=['0123456789abcdef'])
    assert names(tmp_path / 'cache') == {*OWN[:2], *OTHERS, 'more'}
    remove_own_files(tmp_path / 'cache')
    assert names(tmp_path / 'cache') == {*OTHERS, 'more'}


@pytest.mark.parametrize('private', [True, False])
def test_a_link_is_refused_and_nothing_removed_behind_it(tmp_path, private):
    fill(tmp_path / 'precious')
    link = tmp_path / 'cache'
    link.symlink_to(tmp_path / 'precious')
    before = names(link)
    with pytest.raises(DatasetError, match='is a link'):
        make_own_folder(link, private)
    remove_own_files(link)
    assert names(link) == before


def test_a_private_folder_is_nobody_elses(tmp_path, monkeypatch):
    folder = tmp_path / 'shared' / 'cache'
    make_own_folder(folder, private=True)
    folder.chmod(0o777)
    make_own_folder(folder, private=True)
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, 'getuid', lambda: folder.stat().st_uid + 1)
    with pytest.raises(DatasetError, match='of another user'):
        make_own_folder(folder, private=True)
    make_own_folder(folder, private=False)
