from __future__ import annotations

import os

import pytest
from mmengine.fileio import get_file_backend
from mmengine.runner import save_checkpoint

from ff_mm import files

BACKEND = dict(backend='atomic')


def fail(*_):
    raise OSError('no space left on device')


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / 'state.pth'
    save_checkpoint(dict(a=1), str(path), backend_args=BACKEND)
    old = path.read_bytes()
    monkeypatch.setattr(files.os, 'fsync', fail)
    with pytest.raises(OSError, match='no space'):
        save_checkpoint(dict(a=2), str(path), backend_args=BACKEND)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ['state.pth']


def test_bytes_views_and_text_are_written(tmp_path):
    backend = get_file_backend(backend_args=BACKEND)
    backend.put(memoryview(b'abc'), tmp_path / 'new' / 'a')
    backend.put_text('äöü', str(tmp_path / 'b'))
    assert backend.get(tmp_path / 'new' / 'a') == b'abc'
    assert backend.get_text(str(tmp_path / 'b')) == 'äöü'
