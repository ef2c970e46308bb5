from __future__ import annotations

import pytest
from mmcv.transforms import LoadImageFromFile, Resize
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import TRANSFORMS

from ff_mm.datasets.image_cache.transforms import (
    fixed_steps,
    inner_datasets,
    name_of,
)

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
