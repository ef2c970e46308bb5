"""What batches go through, against Pillow and MMCV, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.transforms.autoaugment import _apply_op

from ff_mm.datasets.device_pipeline.batch_pipeline import BatchPipeline
from ff_mm.datasets.device_pipeline.operations import RandAugments
from ff_mm.errors import ConfigError

RAND_AUGMENT = dict(type='torchvision/RandAugment', num_ops=2, magnitude=15)
SIGNED = (
    'ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness'
)
UNSIGNED = 'Identity Posterize Solarize AutoContrast Equalize'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture(scope='module')
def photographs():
    """Two photographs of 640 x 427, BGR."""
    return [
        load_sample_image(f'{name}.jpg')[..., ::-1].copy()
        for name in ('china', 'flower')
    ]


def tensor(image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def one_by_one(steps, image):
    packed = Compose([*steps, dict(type='PackInputs')])(dict(img=image.copy()))
    return packed['inputs']


def difference(one, two):
    """Mean and largest difference of grey levels."""
    apart = (one.int() - two.int()).abs()
    return float(apart.float().mean()), int(apart.max())


def crop(**options):
    return dict(type='RandomResizedCrop', **options)


@pytest.mark.parametrize('size', [64, 224])
@pytest.mark.parametrize('ratio', [(0.9, 1.0), (0.08, 1.0), (0.7, 1.2)])
@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_crops_are_pillows_but_for_rounding(photographs, size, ratio, interpolation):
    options = dict(interpolation=interpolation, backend='pillow')
    steps = [crop(scale=size, crop_ratio_range=ratio, **options)]
    batch = BatchPipeline(steps)
    for seed, image in enumerate(photographs * 3):
        np.random.seed(seed)
        expected = one_by_one(steps, image)
        np.random.seed(seed)
        mean, largest = difference(batch([tensor(image)])[0], expected)
        assert mean < 0.2 and largest <= 3


def test_a_crop_of_opencv_does_not_smooth(photographs):
    both = {}
    for backend in ('cv2', 'pillow'):
        steps = [crop(scale=48, crop_ratio_range=(1.0, 1.0), backend=backend)]
        batch = BatchPipeline(steps)
        np.random.seed(0)
        expected = one_by_one(steps, photographs[0])
        np.random.seed(0)
        both[backend] = batch([tensor(photographs[0])])[0]
        mean, largest = difference(both[backend], expected)
        assert mean < 0.3 and largest <= 1
    assert difference(both['cv2'], both['pillow'])[0] > 5


@pytest.mark.parametrize('direction', ['horizontal', 'vertical'])
def test_flips_are_mmcvs(photographs, direction):
    steps = [dict(type='RandomFlip', prob=1.0, direction=direction)]
    found = BatchPipeline(steps)([tensor(photographs[0])])
    assert torch.equal(found[0], one_by_one(steps, photographs[0]))


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('change', ['brightness', 'contrast', 'saturation'])
@pytest.mark.parametrize('factor', [0.6, 0.93, 1.4])
@pytest.mark.filterwarnings('ignore:Only use')
def test_jitter_is_mmcvs_to_a_grey_level(photographs, backend, change, factor):
    options = {change: (factor, factor)}
    steps = [dict(type='ColorJitter', backend=backend, **options)]
    for image in photographs:
        found = BatchPipeline(steps)([tensor(image)])[0]
        mean, largest = difference(found, one_by_one(steps, image))
        assert mean < 0.7 and largest <= 1
        assert difference(found, tensor(image))[0] > 0.5  # it did something


OPERATIONS = [(name, False) for name in (SIGNED + ' ' + UNSIGNED).split()]
OPERATIONS += [(name, True) for name in SIGNED.split()]


def test_all_operations_of_rand_augment_are_looked_at():
    rand_augment = RandAugments(TRANSFORMS.build(RAND_AUGMENT))
    assert sorted(rand_augment.names) == sorted((SIGNED + ' ' + UNSIGNED).split())
    signed = [name for name in rand_augment.names if rand_augment.is_signed(name)]
    assert sorted(signed) == sorted(SIGNED.split())


@pytest.mark.parametrize(('name', 'negative'), OPERATIONS)
def test_rand_augment_is_pillows_at_the_same_magnitude(photographs, name, negative):
    step = TRANSFORMS.build(RAND_AUGMENT)
    rand_augment = RandAugments(step)
    for photograph in photographs:
        image = Image.fromarray(photograph[..., ::-1].copy()).resize((224, 224))
        magnitudes, _ = step.t._augmentation_space(31, (224, 224))[name]
        magnitude = float(magnitudes[15]) if magnitudes.ndim else 0.0
        expected = _apply_op(
            image,
            name,
            -magnitude if negative else magnitude,
            interpolation=step.t.interpolation,
            fill=step.t.fill,
        )
        batch = tensor(np.asarray(image))[None].clone()
        rand_augment.apply(batch, np.array([True]), name, negative)
        mean, largest = difference(batch[0], tensor(np.asarray(expected)))
        # A rotation takes a few pixels from their neighbours.
        assert mean < 0.5 and (largest <= 1 or (name == 'Rotate' and mean < 0.05))
        changed = difference(batch[0], tensor(np.asarray(image)))[0]
        # One that has black and white stays as it is.
        assert (changed == 0) is (name == 'Identity') or name == 'AutoContrast'


LEVELS = dict(
    minimal=[crop(scale=64, crop_ratio_range=(0.9, 1.0), backend='pillow')],
    medium=[
        crop(scale=64, crop_ratio_range=(0.08, 1.0), backend='pillow'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(
            type='ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            backend='cv2',
        ),
    ],
    heavy=[
        crop(scale=64, crop_ratio_range=(0.7, 1.2), backend='pillow'),
        dict(type='NumpyToPIL', to_rgb=True),
        RAND_AUGMENT,
        dict(type='PILToNumpy', to_bgr=True),
    ],
)


@pytest.mark.parametrize('level', LEVELS)
def test_a_level_shows_on_average_what_pillows_shows(photographs, level):
    """Over many draws: the mean image, the spread of each pixel and of brightness."""
    number, image = 600, photographs[0][::4, :427:4].copy()
    np.random.seed(0)
    torch.manual_seed(0)
    expected = torch.stack([one_by_one(LEVELS[level], image) for _ in range(number)])
    found = BatchPipeline(LEVELS[level])([tensor(image)] * number)
    one, two = (images.float() for images in (expected, found))
    grain = one.std(0).mean() / number**0.5  # of a mean over so many draws
    assert (one.mean(0) - two.mean(0)).abs().mean() < 3 * grain
    assert float(two.std(0).mean()) == pytest.approx(float(one.std(0).mean()), rel=0.06)
    spreads = [float(images.mean((1, 2, 3)).std()) for images in (one, two)]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.15)


@pytest.mark.parametrize('level', LEVELS)
def test_each_image_is_augmented_in_its_own_way_and_the_seed_decides(
    photographs, level
):
    batch = BatchPipeline(LEVELS[level])
    square = photographs[0][:, :427]
    images = [tensor(square)] * 8
    np.random.seed(3)
    first, second = batch(images), batch(images)
    np.random.seed(3)
    assert torch.equal(batch(images), first)
    assert not torch.equal(first, second)
    assert len({image.numpy().tobytes() for image in first}) >= 7
    assert torch.equal(images[0], tensor(square))  # what is kept stays


def test_an_image_is_mixed_with_nothing_of_its_neighbours(photographs):
    """Statistics such as the contrast's mean are an image's own."""
    steps = [dict(type='ColorJitter', contrast=(0.5, 0.5), backend='cv2')]
    sizes = dict(size=(64, 64), antialias=True)
    images = [
        torch.nn.functional.interpolate(
            tensor(p)[None].float(), mode='bilinear', **sizes
        )[0].byte()
        for p in photographs
    ]
    together = BatchPipeline(steps)(images)
    for image, found in zip(images, together, strict=True):
        assert torch.equal(BatchPipeline(steps)([image])[0], found)


def test_images_of_several_sizes_need_a_step_that_makes_them_one():
    images = [torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 9).byte()]
    steps = [dict(type='RandomFlip', prob=0.5)]
    with pytest.raises(ConfigError, match=r'several sizes.*\(8, 8\), \(8, 9\)'):
        BatchPipeline(steps)(images)
