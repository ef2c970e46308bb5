from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from ff_mm.datasets.image_cache.transforms import ShrinkImage
from ff_mm.datasets.resizing.shrinking import shrink
from ff_mm.errors import ConfigError


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
