from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile, Resize
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from ff_mm.datasets.checks.check import inner_datasets
from ff_mm.datasets.image_cache.transforms import (
    ShrinkImage,
    fixed_steps,
    name_of,
)
from ff_mm.datasets.resizing.shrinking import shrink
from ff_mm.errors import ConfigError

LOAD = dict(type='LoadImageFromFile')
RESIZE = dict(type='Resize', scale=8)
EDGE = dict(type='ResizeEdge', scale=8)
CROP = dict(type='CenterCrop', crop_size=8)
SHRINK = dict(type='ShrinkImage', short_side=8)
FLIP = dict(type='RandomFlip', prob=0.5)
PACK = dict(type='PackInputs')


@TRANSFORMS.register_module()
class JitteringResize(Resize):
    """Resizes by chance, for all that is known."""


@TRANSFORMS.register_module()
class LoadNegative(LoadImageFromFile):
    """A loading step of a user."""

    def transform(self, results):
        results = super().transform(results)
        results['img'] = 255 - results['img']
        return results


@pytest.mark.parametrize(
    ('pipeline', 'count'),
    [
        ([LOAD, FLIP, RESIZE, PACK], 1),
        ([LOAD, RESIZE, PACK], 2),
        ([LOAD, SHRINK, EDGE, CROP, FLIP, PACK], 4),
        ([dict(type='LoadDICOM'), RESIZE, PACK], 2),
        ([dict(type='LoadNegative'), PACK], 1),
        ([dict(type='mmpretrain.LoadImageFromFile'), PACK], 1),
        ([dict(type=LoadImageFromFile), dict(type=Resize, scale=8), PACK], 2),
        ([LOAD, dict(type='JitteringResize', scale=8), PACK], 1),
        ([LOAD], 1),
        # Images in memory, and steps of which nothing is known.
        ([RESIZE, FLIP, PACK], 0),
        ([PACK, LOAD], 0),
        ([dict(type='NoSuchStep'), LOAD], 0),
        ([], 0),
    ],
)
def test_what_chance_has_no_part_in(pipeline, count):
    assert fixed_steps(pipeline) == pipeline[:count]


def test_random_crops_are_chance():
    for kind in ('RandomResizedCrop', 'RandomCrop', 'MAERandomResizedCrop'):
        assert fixed_steps([LOAD, dict(type=kind)]) == [LOAD]


def test_the_same_steps_have_the_same_name():
    assert name_of([LOAD, RESIZE]) == name_of([LOAD, dict(scale=8, type='Resize')])
    assert name_of([LOAD]) == name_of([ConfigDict(LOAD)])
    assert name_of([LOAD]) != name_of([dict(LOAD, to_float32=True)])
    assert name_of([LOAD, RESIZE]) != name_of([RESIZE, LOAD])


def test_data_sets_inside_wrappers():
    first, second, third = (dict(type='A', n=n) for n in range(3))
    repeated = dict(type='RepeatDataset', times=2, dataset=second)
    config = Config(
        dict(dataset=dict(type='ConcatDataset', datasets=[first, repeated, third]))
    )
    assert inner_datasets(config.dataset) == [first, second, third]
    assert inner_datasets(ConfigDict(first)) == [first]


def load(pixels):
    shape = pixels.shape[:2]
    return dict(img=pixels, img_shape=shape, ori_shape=shape, gt_label=1)


def noise(*shape, kind=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape).astype(kind)


def test_it_shrinks_as_resize_dataset_does():
    pixels = noise(40, 60, 3)
    results = ShrinkImage(16).transform(load(pixels))
    as_rgb = shrink(Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)), 16)
    assert (results['img'][..., ::-1] == np.asarray(as_rgb)).all()
    assert results['img'].shape == (16, 24, 3)
    assert results['img_shape'] == (16, 24)
    assert results['ori_shape'] == (40, 60)
    assert results['gt_label'] == 1


def test_grey_stays_grey():
    assert ShrinkImage(16).transform(load(noise(32, 64)))['img'].shape == (16, 32)


@pytest.mark.parametrize('shape', [(16, 99, 3), (99, 12, 3), (16, 16)])
def test_nothing_is_enlarged_or_touched_that_is_small_enough(shape):
    pixels = noise(*shape)
    results = ShrinkImage(16).transform(load(pixels))
    assert results['img'] is pixels
    assert results['img_shape'] == shape[:2]


@pytest.mark.parametrize(
    'pixels', [noise(40, 40, 3, kind=np.float32), noise(40, 40, 4), noise(9, 9) * 1.0]
)
def test_other_types_and_shapes_are_refused(pixels):
    with pytest.raises(ConfigError, match=r'cache_images\.short_side: an image is'):
        ShrinkImage(16).transform(load(pixels))
