from __future__ import annotations

import functools
import pickle
import sys
import urllib.error

import pytest
import timm
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file
from torch import nn

from ff_mm.engine import checkpoint_io
from ff_mm.merging import CheckpointError
from ff_mm.models.starting_weights.source import read_source

WEIGHTS = nn.Linear(2, 2).state_dict()
URL = 'https://example.org/model.pth'


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.fixture
def download(monkeypatch):
    """Sets what comes of a download: weights, or an error."""

    def answer(result):
        def fetch(url, **_):
            if isinstance(result, Exception):
                raise result
            return dict(result, url=url)

        monkeypatch.setattr(checkpoint_io, 'load_state_dict_from_url', fetch)

    return answer


def test_a_file_is_read_from_where_the_user_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(WEIGHTS, 'model.pth')
    for place in ('model.pth', str(tmp_path / 'model.pth'), '~/model.pth'):
        assert same(read_source(place, {}), WEIGHTS)


def test_a_name_stands_for_its_place(tmp_path, download):
    torch.save(WEIGHTS, tmp_path / 'model.pth')
    sources = dict(local=str(tmp_path / 'model.pth'), remote=URL)
    assert same(read_source('local', sources), WEIGHTS)
    download(WEIGHTS)
    assert read_source('remote', sources)['url'] == URL
    assert read_source(URL, {})['url'] == URL


def test_safetensors_are_read(tmp_path):
    file = tmp_path / 'model.safetensors'
    save_file(WEIGHTS, file)
    assert same(read_source(str(file), {}), WEIGHTS)
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(CheckpointError, match=r'model\.safetensors: damaged'):
        read_source(str(file), {})


def test_what_is_no_name_and_no_file_is_said_with_the_names():
    sources = dict(torchvision=URL, timm=URL)
    with pytest.raises(
        CheckpointError,
        match=r"'torchvison': no such file, and none of the names torchvision, timm "
        r"\(did you mean 'torchvision'\?\); give a file",
    ):
        read_source('torchvison', sources)
    with pytest.raises(CheckpointError, match=r"'a/b\.pth': no such file; give"):
        read_source('a/b.pth', {})


def test_a_file_that_runs_code_does_not(malicious):
    file, marker = malicious
    with pytest.raises(CheckpointError, match='does not run code'):
        read_source(str(file), {})
    assert not marker.exists()


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (urllib.error.URLError('no route'), 'cannot be fetched.*no route.*give the'),
        (pickle.UnpicklingError('GLOBAL os.mkdir'), 'runs no code from checkpoints'),
    ],
)
def test_a_failed_download_says_what_to_do(download, error, message):
    download(error)
    with pytest.raises(CheckpointError, match=rf'example\.org/model\.pth.*{message}'):
        read_source(URL, {})


def test_a_place_that_no_loader_has_is_an_error():
    with pytest.raises(CheckpointError, match=r"mmcls://nothing: .*no model 'nothing'"):
        read_source('mmcls://nothing', {})


def test_timm_gives_its_weights(monkeypatch, tmp_path):
    torch.manual_seed(0)
    source = timm.create_model('resnet10t')
    torch.save(source.state_dict(), tmp_path / 'resnet10t.pth')
    # What timm would download, as a file.
    overlay = dict(file=str(tmp_path / 'resnet10t.pth'))
    offline = functools.partial(timm.create_model, pretrained_cfg_overlay=overlay)
    monkeypatch.setattr(timm, 'create_model', offline)
    assert same(read_source('timm', dict(timm='timm://resnet10t')), source.state_dict())
    weights = CheckpointLoader.load_checkpoint('timm://resnet10t', 'cpu')
    assert same(weights, source.state_dict())


def test_a_model_that_timm_does_not_know_is_an_error():
    with pytest.raises(CheckpointError, match=r'timm://nothing: Unknown model'):
        read_source('timm://nothing', {})


@pytest.mark.parametrize('package', ['timm', 'safetensors'])
def test_a_package_that_is_not_there_is_said_with_the_remedy(
    monkeypatch, tmp_path, package
):
    monkeypatch.setitem(sys.modules, package, None)
    file = tmp_path / 'model.safetensors'
    file.touch()
    place = 'timm://resnet10t' if package == 'timm' else str(file)
    with pytest.raises(CheckpointError, match=rf'needs `pip install {package}`'):
        read_source(place, {})
