"""Views of images: the same whatever comes before, and whoever loads them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from torch.utils.data import DataLoader, Dataset

from ff_mm.engine.hooks.view_seed_hook import ViewLoading, checksum_of
from ff_mm.errors import ConfigError


class Drawn(Dataset):
    """Images drawn from all generators that augmentations use."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        numbers = [random.random(), np.random.rand(), float(torch.rand(())), index]
        return dict(inputs=torch.tensor(numbers), data_samples=DataSample())


def loaded(order, view=0, workers=0, batch=2, epochs=1):
    """Image -> what was shown of it last, through a loader of torch."""
    dataset = Drawn()
    views = ViewLoading(dataset, seed=5)
    dataset.__getitems__ = views
    loader = DataLoader(
        dataset,
        batch,
        sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list,
    )
    for epoch in range(epochs):
        views.announce(view + epoch)
        items = [item for batch in loader for item in batch]
    for item in items:
        assert checksum_of(item['inputs']) == item['data_samples'].view_checksum
        assert item['data_samples'].view == view + epochs - 1
    return {item['data_samples'].view_index: item['inputs'] for item in items}


def test_a_view_depends_on_image_and_view_alone():
    plain, other = loaded(range(6)), loaded([5, 0, 3, 1, 4, 2], workers=2, batch=3)
    assert all(torch.equal(plain[index], other[index]) for index in range(6))
    assert len({float(image[0]) for image in plain.values()}) == 6


def test_workers_that_live_on_hear_of_the_next_view():
    first, second = loaded(range(6)), loaded(range(6), view=1)
    later = loaded(range(6), workers=1, epochs=2)
    for index in range(6):
        assert torch.equal(second[index], later[index])
        assert not torch.equal(first[index], second[index])


def test_generators_are_left_as_they_were():
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = random.random(), np.random.rand(), float(torch.rand(()))
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    ViewLoading(Drawn(), seed=0)([0, 1])
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected


def test_a_checksum_tells_values_shapes_and_kinds_apart():
    image = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    others = [image + 1, image.reshape(3, 4, 1), image.to(torch.int8)]
    assert len({checksum_of(i) for i in [image, *others]}) == 4
    assert checksum_of(image.contiguous(memory_format=torch.preserve_format)) == (
        checksum_of(image.clone())
    )


def test_a_pipeline_without_data_samples_is_told():
    with pytest.raises(ConfigError, match='PackInputs'):
        ViewLoading([torch.zeros(2)], seed=0)([0])
