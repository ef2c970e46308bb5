"""What a training loader gives when whole batches are augmented."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import TASK_UTILS
from torch.utils.data import DataLoader

from ff_mm.engine import DevicePipelineHook, QuietRunner
from ff_mm.fission.trial import trial_config


@pytest.fixture
def loader_of(tmp_path, generation_config):
    """A function that gives the loader of a run that is about to train."""
    runners = []

    def build(option, pipeline=None, **options):
        options |= dict(device_pipeline=option) if option else {}
        cfg = generation_config(tmp_path, **options)
        if pipeline is not None:
            cfg.train_pipeline = pipeline
        trial = TASK_UTILS.build(cfg.plan).trials()[0]
        runner = QuietRunner.from_cfg(trial_config(cfg, trial, tmp_path / 'trial'))
        runners.append(runner)
        for hook in runner.hooks:
            if isinstance(hook, DevicePipelineHook):
                hook.before_train(runner)
        return runner.train_dataloader

    yield build
    for runner in runners:
        runner.release()


WITHOUT_CHANCE = [
    dict(type='Resize', scale=12, backend='pillow'),
    dict(type='RandomFlip', prob=1.0, direction='horizontal'),
    dict(type='PackInputs'),
]
PLACES = [dict(images='cache'), dict(images='device')]


@pytest.mark.parametrize('option', PLACES, ids=lambda option: option['images'])
@pytest.mark.parametrize('workers', [0, 2])
def test_images_keep_their_labels_and_their_order(loader_of, option, workers):
    expected = loader_of(None, WITHOUT_CHANCE)
    found = loader_of(option, WITHOUT_CHANCE, train_dataloader__num_workers=workers)
    assert isinstance(found, DataLoader) and len(found) == len(expected) > 1
    for _ in range(2):
        for one, two in zip(expected, found, strict=True):
            assert torch.equal(one['inputs'], two['inputs'])
            assert two['inputs'].dtype == torch.uint8
            labels = [
                [int(sample.gt_label) for sample in batch['data_samples']]
                for batch in (one, two)
            ]
            assert labels[0] == labels[1]


@pytest.mark.parametrize('option', PLACES, ids=lambda option: option['images'])
def test_batches_are_of_the_size_that_the_steps_make_and_differ(loader_of, option):
    loader = loader_of(option)
    np.random.seed(0)
    first, second = ([batch['inputs'] for batch in loader] for _ in range(2))
    assert first[0].shape == (loader.batch_size, 3, 8, 8)
    assert not torch.equal(first[-1].float().mean(), second[-1].float().mean())
    np.random.seed(0)
    again = [batch['inputs'] for batch in loader]
    assert all(map(torch.equal, first, again))


def test_resident_images_need_no_workers(loader_of):
    loader = loader_of(dict(images='device'), train_dataloader__num_workers=2)
    next(iter(loader))
    assert loader._iterator is None and loader.num_workers == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_the_place_of_the_images_changes_nothing(loader_of):
    batches = []
    for place in ('device', 'pinned', 'cache'):
        loader = loader_of(dict(images=place), train_dataloader__num_workers=2)
        np.random.seed(0)
        batches.append([batch['inputs'] for batch in loader])
        assert batches[-1][0].is_cuda
    for others in batches[1:]:
        assert all(map(torch.equal, batches[0], others))
