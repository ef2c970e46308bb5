"""Images that stay in memory."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ff_mm import memory
from ff_mm.datasets.device_pipeline import residence
from ff_mm.datasets.device_pipeline.residence import (
    ResidentImages,
    choose_place,
    estimate_size,
)

CPU, CUDA = torch.device('cpu'), torch.device('cuda')
GIGABYTE = 10**9


class Pictures(Dataset):
    """Images of different sizes."""

    def __len__(self):
        return 150

    def __getitem__(self, index):
        image = torch.full((3, 4 + index % 5, 6), index % 99, dtype=torch.uint8)
        return dict(inputs=image, data_samples=f'sample {index}')


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('block', [100, 2**26])
def test_images_are_found_by_their_numbers(monkeypatch, workers, block):
    monkeypatch.setattr(residence, '_BLOCK', block)
    loader = DataLoader(Pictures(), num_workers=workers)
    kept = ResidentImages(loader, CPU)
    chosen = [149, 0, 77, 0]
    cases = kept(chosen)
    assert [case['data_samples'] for case in cases] == [f'sample {i}' for i in chosen]
    images = kept.find([case['inputs'] for case in cases])
    for index, image in zip(chosen, images, strict=True):
        assert torch.equal(image, Pictures()[index]['inputs'])
    assert kept.nbytes == sum(Pictures()[i]['inputs'].nbytes for i in range(150))


def test_the_size_of_all_is_estimated_from_some():
    size = sum(Pictures()[index]['inputs'].nbytes for index in range(150))
    assert estimate_size(Pictures()) == pytest.approx(size, rel=0.05)


@pytest.mark.parametrize(
    ('size', 'place'), [(1, 'device'), (3, 'pinned'), (30, 'cache')]
)
def test_images_lie_where_there_is_room(monkeypatch, size, place):
    monkeypatch.setattr(memory, 'free_memory', lambda device: 8 * GIGABYTE)
    monkeypatch.setattr(residence, 'memory_of_machine', lambda: 64 * GIGABYTE)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '1')
    assert choose_place('auto', CUDA, lambda: size * GIGABYTE, 0.25) == place


def test_processes_of_a_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, 'free_memory', lambda device: 0)
    monkeypatch.setattr(residence, 'memory_of_machine', lambda: 64 * GIGABYTE)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '8')
    assert choose_place('auto', CUDA, lambda: 2 * GIGABYTE, 0.25) == 'pinned'
    assert choose_place('auto', CUDA, lambda: 3 * GIGABYTE, 0.25) == 'cache'


def test_on_a_cpu_images_stay_where_they_are():
    def fail():
        raise AssertionError('nothing is to be estimated')

    assert choose_place('auto', CPU, fail, 0.25) == 'cache'
    assert choose_place('device', CPU, fail, 0.25) == 'device'


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('pinned', [False, True])
def test_images_lie_on_a_gpu_or_are_pinned(pinned):
    kept = ResidentImages(DataLoader(Pictures()), CUDA, pinned)
    (image,) = kept.find([3])
    assert image.is_pinned() if pinned else image.is_cuda
    assert torch.equal(image.cpu(), Pictures()[3]['inputs'])
