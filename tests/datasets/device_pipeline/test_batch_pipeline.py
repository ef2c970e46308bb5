"""Which pipelines batches can go through, and what is said of the others."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ff_mm.config import load_config, resolve
from ff_mm.datasets.device_pipeline.batch_pipeline import (
    BatchPipeline,
    cache_option,
    use_device_pipeline,
)
from ff_mm.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / 'configs'
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
CROP = dict(type='RandomResizedCrop', scale=8, backend='pillow')


def run(*steps, option=True, **changes):
    pipeline = copy.deepcopy([LOAD, *steps, PACK])
    loader = dict(batch_size=2, dataset=dict(type='CustomDataset', pipeline=pipeline))
    loader.update(changes)
    return Config(dict(train_dataloader=loader, device_pipeline=option))


def hook_of(cfg):
    (hook,) = cfg.custom_hooks
    assert hook.pop('type') == 'DevicePipelineHook'
    return hook


@pytest.mark.parametrize('level', ['minimal', 'medium', 'heavy'])
@pytest.mark.parametrize('data', ['folders_resnet50', 'digits_resnet18'])
def test_the_levels_of_the_paper_go_through_batches(level, data):
    options = dict(augmentation=level, device_pipeline=True)
    cfg = resolve(load_config(CONFIGS / f'fgg_{data}.py', options))
    before = list(cfg.train_dataloader.dataset.pipeline)
    use_device_pipeline(cfg)
    after = list(cfg.train_dataloader.dataset.pipeline)
    hook = hook_of(cfg)
    assert [after[0], *hook['steps'], after[1]] == before
    assert [after[0]['type'], after[1]['type']] in (
        ['LoadImageFromFile', 'PackInputs'],
        ['Resize', 'PackInputs'],
    )
    size = cfg.image_size
    images = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    assert BatchPipeline(hook['steps'])(images).shape == images.shape
    assert cfg.train_dataloader.collate_fn == dict(type='pseudo_collate')
    assert 'device_pipeline' not in cfg


@pytest.mark.parametrize('option', [None, False, {}])
def test_without_the_option_nothing_is_changed(option):
    cfg = run(CROP, option=option)
    use_device_pipeline(cfg)
    assert cfg == run(CROP, option=option) or 'device_pipeline' not in cfg
    assert cfg.train_dataloader == run(CROP).train_dataloader
    assert 'custom_hooks' not in cfg


def test_options_reach_the_hook():
    cfg = run(CROP, option=dict(images='pinned', memory_share=0.5))
    use_device_pipeline(cfg)
    hook = hook_of(cfg)
    assert (hook['images'], hook['memory_share']) == ('pinned', 0.5)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        (dict(images='disk'), r"device_pipeline.images='disk': expected one of"),
        (dict(memory_share=2), r'device_pipeline.memory_share=2: expected a number'),
        (dict(memory_share=True), r'device_pipeline.memory_share=True: expected'),
        (dict(image='auto'), r"device_pipeline: unknown key 'image'"),
        ('cuda', r"device_pipeline='cuda': expected a dict"),
    ],
)
def test_options_that_there_are_not(option, message):
    with pytest.raises(ConfigError, match=message):
        use_device_pipeline(run(CROP, option=option))


ERASING = dict(type='RandomErasing')


@pytest.mark.parametrize(
    ('steps', 'message'),
    [
        ([CROP, ERASING, dict(type='Rotate', angle=3)], 'through RandomErasing, Rot'),
        ([dict(type='RandomCrop', crop_size=4)], 'through RandomCrop of train_pipe'),
        ([CROP, dict(type='torchvision/ColorJitter')], 'through torchvision/Color'),
        # MMPretrain's, with its own policies.
        ([CROP, dict(type='RandAugment', policies=[])], 'through RandAugment of'),
        ([CROP, dict(type='NoSuchStep')], 'through NoSuchStep of'),
        # After chance the data set does not come in again.
        ([CROP, dict(type='Resize', scale=8)], 'through Resize of'),
        ([dict(type='ColorJitter', hue=0.1)], r'ColorJitter with hue=.*leave hue out'),
        ([dict(CROP, interpolation='lanczos')], "interpolation='lanczos'.*bilinear"),
        ([dict(CROP, backend='tifffile')], "backend='tifffile'"),
        ([dict(type='RandomFlip', prob=0.5, direction='diagonal')], 'diagonal'),
        ([dict(type='RandomFlip', prob=[0.2], direction=['vertical'])],
         'RandomFlip with prob='),
        ([dict(CROP, scal=3)], 'train_pipeline: RandomResizedCrop: .*scal'),
        ([dict(type='PILToNumpy', dtype='float32')], 'PILToNumpy with dtype=float32'),
    ],
)  # fmt: skip
def test_what_batches_cannot_go_through_is_named(steps, message):
    with pytest.raises(ConfigError, match=message) as error:
        use_device_pipeline(run(*steps))
    assert '\n' not in str(error.value)


def test_a_pipeline_packs_in_the_end():
    cfg = run(CROP)
    cfg.train_dataloader.dataset.pipeline = [LOAD, CROP]
    with pytest.raises(ConfigError, match=r'PackInputs.*at its end'):
        use_device_pipeline(cfg)


def test_a_way_of_ones_own_to_make_batches_is_not_overruled():
    with pytest.raises(ConfigError, match="collate_fn is 'my_own'"):
        use_device_pipeline(run(CROP, collate_fn=dict(type='my_own')))


def test_distillation_shows_images_one_by_one():
    cfg = run(CROP)
    cfg.custom_hooks = [dict(type='ViewSeedHook')]
    with pytest.raises(ConfigError, match='distillation'):
        use_device_pipeline(cfg)


def test_data_sets_that_are_put_together_are_augmented_alike():
    def together(*crops):
        parts = [dict(type='CustomDataset', pipeline=[LOAD, c, PACK]) for c in crops]
        cfg = run()
        cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=parts)
        return cfg

    cfg = together(CROP, CROP)
    use_device_pipeline(cfg)
    for part in cfg.train_dataloader.dataset.datasets:
        assert part.pipeline == [LOAD, PACK]
    assert hook_of(cfg)['steps'] == [CROP]
    with pytest.raises(ConfigError, match='augmented in different ways'):
        use_device_pipeline(together(CROP, dict(CROP, scale=9)))


@pytest.mark.parametrize(
    'image',
    [
        torch.zeros(3, 8, 8, dtype=torch.int32),
        torch.zeros(1, 8, 8, dtype=torch.uint8),
    ],
    ids=['sixteen bits', 'grey'],
)
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(ConfigError, match='expected uint8 of 3 channels'):
        BatchPipeline([CROP])([image])


def test_batches_come_out_of_the_cache():
    assert cache_option(Config(dict(device_pipeline=True))) is True
    asked = dict(short_side=64)
    both = Config(dict(device_pipeline=True, cache_images=asked))
    assert cache_option(both) == asked
    assert not cache_option(Config(dict(cache_images=dict())))
