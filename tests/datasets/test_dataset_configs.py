from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, METRICS, TRANSFORMS

from ff_mm.config import load_config, resolve
from ff_mm.config_loaders import ood_dataloaders

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def read(name: str, **options: object) -> Config:
    cfg = load_config(FOLDER / f'{name}.py', options)
    # Comes with the model in a whole config.
    cfg.setdefault('normalization', dict(mean=[127.5] * 3, std=[127.5] * 3))
    return resolve(cfg)


def run(pipeline: list[dict], shape: tuple = (45, 60, 3)) -> object:
    rng = np.random.default_rng(0)
    results = dict(img=rng.integers(0, 256, shape, dtype=np.uint8), gt_label=3)
    for transform in pipeline:
        # The image is there already.
        if transform['type'] != 'LoadImageFromFile':
            results = TRANSFORMS.build(transform)(results)
    return results


@pytest.mark.parametrize('level', ['minimal', 'medium', 'heavy'])
@pytest.mark.parametrize(('name', 'size'), [('ham10000', 64), ('digits', 24)])
def test_every_augmentation_gives_an_image_of_the_size(name, size, level):
    cfg = read(name, augmentation=level, image_size=size)
    pipeline = cfg.train_dataloader.dataset.pipeline
    # RandAugment has 14 operations; most are met.
    for _ in range(20):
        inputs = run(pipeline)['inputs']
        assert tuple(inputs.shape) == (3, size, size)
        assert str(inputs.dtype) == 'torch.uint8'


@pytest.mark.parametrize(('name', 'size'), [('ham10000', 224), ('digits', 32)])
def test_test_pipelines_resize_the_whole_image(name, size):
    cfg = read(name)
    for loader in ('val_dataloader', 'test_dataloader'):
        packed = run(cfg[loader].dataset.pipeline)
        assert tuple(packed['inputs'].shape) == (3, size, size)
        assert packed['data_samples'].gt_label.tolist() == [3]


def test_levels_of_ham10000():
    cfg = read('ham10000')
    assert cfg.augmentation == 'heavy'
    steps = [step['type'] for step in cfg.train_pipeline]
    assert steps[2:5] == ['NumpyToPIL', 'torchvision/RandAugment', 'PILToNumpy']
    crops = {level: steps[0] for level, steps in cfg.augmentations.items()}
    ranges = {level: tuple(crop.crop_ratio_range) for level, crop in crops.items()}
    assert ranges == dict(minimal=(0.9, 1.0), medium=(0.08, 1.0), heavy=(0.7, 1.2))


def test_digits_are_never_flipped():
    assert 'RandomFlip' not in str(read('digits').augmentations)


def test_digits_data_sets_build_and_go_through_their_pipelines():
    cfg = read('digits')
    loaders = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
    for loader in (*loaders, *ood_dataloaders(cfg).values()):
        dataset = DATASETS.build(loader['dataset'])
        assert tuple(dataset[0]['inputs'].shape) == (3, 32, 32)


def test_normalisation_of_digits_is_that_of_the_training_images():
    cfg = read('digits')
    train = DATASETS.build(dict(type='Digits'))
    pixels = np.stack([train.get_data_info(i)['img'] for i in range(len(train))])
    assert cfg.data_preprocessor.mean == pytest.approx([pixels.mean()] * 3, abs=0.1)
    assert cfg.data_preprocessor.std == pytest.approx([pixels.std()] * 3, abs=0.1)


@pytest.mark.parametrize('name', ['ham10000', 'digits'])
def test_selection_metric_is_one_that_is_computed(name):
    cfg = read(name)
    metrics = [METRICS.build(config) for config in cfg.val_evaluator]
    assert cfg.selection.metric in metrics[0].items
    assert cfg.val_evaluator == cfg.test_evaluator


def test_real_images_through_the_ham10000_config(dataverse):
    cfg = read('ham10000', data_root=str(dataverse), image_size=32)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build(loader.dataset)
        assert tuple(dataset[0]['inputs'].shape) == (3, 32, 32)
