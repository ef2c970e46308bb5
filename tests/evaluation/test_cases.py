from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader

from ff_mm import memory
from ff_mm.evaluation.kept_images import (
    KeptCases,
    StreamedCases,
    keep,
    usual_size,
)

MEMORY = 10**6


def loader(images, batch_size=3, collate_fn=default_collate):
    cases = [
        dict(inputs=image, data_samples=DataSample(number=i))
        for i, image in enumerate(images)
    ]
    return DataLoader(cases, batch_size=batch_size, collate_fn=collate_fn)


def random_images(number=7, shape=(3, 4, 5)):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        for _ in range(number)
    ]


def gather(batches):
    batches = list(batches)
    images = torch.cat([batch['inputs'] for batch in batches])
    numbers = [s.number for batch in batches for s in batch['data_samples']]
    return images, numbers


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('memory', [MEMORY, 0], ids=['memory', 'file'])
@pytest.mark.parametrize('channels', [1, 3])
def test_kept_images_are_those_of_the_loader(tmp_path, channels_last, memory, channels):
    images = random_images(shape=(channels, 4, 5))
    kept = keep(loader(images), channels_last, memory, tmp_path)
    assert kept.where == ('memory' if memory else 'a file')
    assert len(kept) == 7
    assert kept.nbytes == 7 * channels * 4 * 5
    got, numbers = gather(kept.batches(2))
    assert torch.equal(got, torch.stack(images))
    assert numbers == list(range(7))


@pytest.mark.parametrize('error', [errno.ENOSPC, errno.EDQUOT])
def test_images_are_not_kept_where_no_space_can_be_taken(tmp_path, monkeypatch, error):
    """Neither a full disk nor a quota kills the process later."""

    def refuse(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, 'posix_fallocate', refuse)
    assert keep(loader(random_images()), False, 0, tmp_path) is None


def test_the_file_of_kept_images_has_its_space_before_it_is_mapped(
    tmp_path, monkeypatch
):
    taken = []
    monkeypatch.setattr(
        os, 'posix_fallocate', lambda file, start, size: taken.append(size)
    )
    kept = keep(loader(random_images()), False, 0, tmp_path)
    assert taken == [kept.nbytes]


@pytest.mark.parametrize('channels_last', [False, True])
def test_any_order_and_any_part_of_it(tmp_path, channels_last):
    images = random_images()
    kept = keep(loader(images), channels_last, MEMORY, tmp_path)
    order = np.array([6, 0, 3, 1])
    got, numbers = gather(kept.batches(3, order))
    assert numbers == order.tolist()
    assert torch.equal(got, torch.stack([images[i] for i in order]))


def test_batches_are_in_the_memory_format_that_was_asked_for(tmp_path):
    images = random_images()
    for kept in (
        keep(loader(images), True, MEMORY, tmp_path),
        StreamedCases(loader(images), channels_last=True),
    ):
        for batch in kept.batches(2):
            assert batch['inputs'].is_contiguous(memory_format=torch.channels_last)
    (batch, *_) = keep(loader(images), False, MEMORY, tmp_path).batches(2, [4, 2])
    assert batch['inputs'].is_contiguous()


def test_streamed_batches_are_cut_but_nothing_is_lost():
    images = random_images()
    batches = list(StreamedCases(loader(images), channels_last=True).batches(2))
    assert max(len(batch['data_samples']) for batch in batches) == 2
    got, numbers = gather(batches)
    assert torch.equal(got, torch.stack(images))
    assert numbers == list(range(7))


def test_images_of_different_sizes_are_not_kept_but_streamed_as_they_come(tmp_path):
    images = random_images(2) + random_images(2, (3, 6, 5))
    assert keep(loader(images, 2), True, MEMORY, tmp_path) is None
    lists = loader(images, 4, pseudo_collate)
    assert keep(lists, True, MEMORY, tmp_path) is None
    (batch,) = StreamedCases(lists, channels_last=True).batches(2)
    assert [image.shape for image in batch['inputs']] == [i.shape for i in images]


def test_a_file_of_kept_images_leaves_nothing_behind(tmp_path):
    kept = keep(loader(random_images()), True, 0, tmp_path)
    assert isinstance(kept, KeptCases)
    assert list(tmp_path.iterdir()) == []


def test_without_disk_space_they_are_not_kept(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'total used free')(100, 99, 1)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    assert keep(loader(random_images()), True, 0, tmp_path) is None


CPU, GPU = torch.device('cpu'), torch.device('cuda')


@pytest.fixture
def device_of(monkeypatch):
    """A function that gives the CPU free memory of its own, as a GPU has; the asked."""

    def make(free):
        asked = []

        def free_memory(device):
            asked.append(device)
            return free

        monkeypatch.setattr(memory, 'free_memory', free_memory)
        return asked

    return make


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize(
    ('free', 'there'), [(3 * 420, True), (3 * 420 - 1, False)], ids=['fits', 'does not']
)
def test_images_are_on_the_device_if_a_third_of_what_is_free_holds_them(
    tmp_path, device_of, channels_last, free, there
):
    """Main memory, of which nothing may be taken here, does not count for them."""
    asked = device_of(free)
    images = random_images()
    kept = keep(loader(images), channels_last, 0, tmp_path, CPU)
    assert asked == [CPU]
    assert kept.nbytes == 420
    assert kept.where == ('the memory of cpu' if there else 'a file')
    order = np.array([6, 0, 3, 1])
    got, numbers = gather(kept.batches(3, order))
    assert numbers == order.tolist()
    assert torch.equal(got, torch.stack([images[i] for i in order]))
    got, numbers = gather(kept.batches(None))
    assert torch.equal(got, torch.stack(images))


def test_where_another_process_was_faster_they_are_in_main_memory(
    tmp_path, device_of, monkeypatch
):
    device_of(10**9)
    real = torch.empty

    def empty(*args, device=None, **kwargs):
        if device is not None:
            raise torch.OutOfMemoryError
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, 'empty', empty)
    kept = keep(loader(random_images()), False, MEMORY, tmp_path, CPU)
    monkeypatch.undo()
    assert kept.where == 'memory'
    assert torch.equal(gather(kept.batches(2))[0], torch.stack(random_images()))


@pytest.mark.parametrize(
    ('device', 'side', 'expected'),
    [(CPU, 512, 32), (GPU, 64, 256), (GPU, 224, 256), (GPU, 448, 64), (GPU, 900, 32)],
)
def test_how_many_at_a_time_suit_a_device(device, side, expected):
    assert usual_size(torch.empty(1, 3, side, side, device='meta'), device) == expected


def test_what_is_asked_for_counts(tmp_path):
    kept = keep(loader(random_images(40)), False, MEMORY, tmp_path)
    streamed = StreamedCases(loader(random_images(40), 40), channels_last=False)
    for cases in (kept, streamed):
        for size, expected in ((None, [32, 8]), (30, [30, 10])):
            assert [len(b['inputs']) for b in cases.batches(size)] == expected


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='takes a GPU')


@gpu
@pytest.mark.parametrize('fits', [True, False])
def test_batches_are_on_the_gpu_wherever_images_are_kept(tmp_path, device_of, fits):
    device_of(10**9 if fits else 0)
    images, order = random_images(), [5, 2]
    kept = keep(loader(images), False, MEMORY, tmp_path, GPU)
    assert ('cuda' in kept.where) is fits
    for number in (None, order):
        got, _ = gather(kept.batches(3, number))
        assert got.device.type == 'cuda'
    assert torch.equal(got.cpu(), torch.stack([images[i] for i in order]))
