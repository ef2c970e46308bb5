from __future__ import annotations

import os

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.runner import load_checkpoint, save_checkpoint
from mmpretrain.registry import MODELS
from torch import nn

from ff_mm import files
from ff_mm.engine import checkpoint_io
from ff_mm.merging import CheckpointError


def test_the_marker_would_appear_if_the_file_were_trusted(malicious):
    file, marker = malicious
    torch.load(file, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize('resume', [False, True])
def test_load_from_and_resume_run_no_code(toy_runner, malicious, resume):
    file, marker = malicious
    runner = toy_runner(load_from=str(file), resume=resume)
    with pytest.raises(CheckpointError, match=r'evil\.pth.*does not run code'):
        runner.train()
    assert not marker.exists()


def test_init_cfg_runs_no_code(malicious):
    file, marker = malicious
    init = dict(type='Pretrained', checkpoint=str(file))
    model = MODELS.build(dict(type='ResNet', depth=18, base_channels=4, init_cfg=init))
    with pytest.raises(CheckpointError, match=r'evil\.pth.*does not run code'):
        model.init_weights()
    assert not marker.exists()


@pytest.mark.parametrize('name', ['load_checkpoint', 'LoadFromUser'])
def test_a_relative_path_or_one_with_a_tilde_runs_no_code(
    malicious, monkeypatch, tmp_path, name
):
    file, marker = malicious
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    path = file.name if name == 'load_checkpoint' else '~/evil.pth'
    with pytest.raises(CheckpointError):
        load_checkpoint(nn.Linear(1, 1), path)
    assert not marker.exists()


@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.99])
def test_a_file_cut_short_is_one_clear_error(tmp_path, keep):
    path = tmp_path / 'model.pth'
    torch.save(nn.Linear(50, 50).state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(CheckpointError, match=r'model\.pth'):
        load_checkpoint(nn.Linear(50, 50), str(path))


def test_text_is_not_a_checkpoint(tmp_path):
    (tmp_path / 'model.pth').write_text('<html>404</html>')
    with pytest.raises(CheckpointError, match=r'model\.pth'):
        load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'model.pth'))


def test_no_file_is_said_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match='model'):
        load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'model.pth'))


def test_a_good_file_loads(tmp_path):
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'model.pth')
    load_checkpoint(target, str(tmp_path / 'model.pth'))
    assert torch.equal(source.weight, target.weight)


@pytest.mark.parametrize('scheme', ['http', 'https'])
def test_downloads_are_read_without_running_code(monkeypatch, scheme):
    calls = []

    def download(url, **options):
        calls.append((url, options['weights_only']))
        return dict(state_dict=nn.Linear(1, 1).state_dict())

    monkeypatch.setattr(checkpoint_io, 'load_state_dict_from_url', download)
    load_checkpoint(nn.Linear(1, 1), f'{scheme}://example.org/model.pth')
    assert calls == [(f'{scheme}://example.org/model.pth', True)]


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
