"""Data sets of image files, and how the tests read them."""

from __future__ import annotations

import io
import random
from pathlib import Path

import cv2
import numpy as np
import torch
from dicom_files import make_dicom
from mmengine.config import Config
from mmengine.dataset import pseudo_collate, worker_init_fn
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from rich.console import Console
from torch.utils.data import DataLoader

from ff_mm.datasets.image_cache.image_cache import ImageCache

LOAD = dict(type='LoadImageFromFile')
TRAIN = [
    dict(type='RandomResizedCrop', scale=8, backend='pillow'),
    dict(type='RandomErasing', erase_prob=0.8, mode='rand'),  # writes to the image
    dict(type='PackInputs'),
]
VAL = [dict(type='Resize', scale=8, backend='pillow'), dict(type='PackInputs')]


def write_images(root: Path, count: int = 12, seed: int = 0) -> None:
    """Images of two classes and of different sizes; every third is grey."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        height, width = draw.integers(9, 40, 2)
        shape = (height, width) if number % 3 == 0 else (height, width, 3)
        path = root / 'ab'[number % 2] / f'{number}.{("png", "jpg")[number % 4 // 2]}'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), draw.integers(0, 256, shape, dtype=np.uint8))


def write_dicoms(root: Path, count: int = 4) -> None:
    """Images of 12 bits, in a folder for each class."""
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 4096, (20, 30 + number))
        path = root / 'ab'[number % 2] / f'{number}.dcm'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_dicom(pixels.astype(np.uint16), BitsStored=12))


def config(
    root, load=LOAD, train=TRAIN, val=VAL, wrap=lambda dataset: dataset
) -> Config:
    """The part of a run's config that says what is read, and how."""

    def loader(pipeline):
        folders = dict(type='CustomDataset', data_root=str(root))
        return dict(dataset=wrap(dict(folders, pipeline=[load, *pipeline])))

    return Config(dict(train_dataloader=loader(train), val_dataloader=loader(val)))


def build(cfg: Config) -> dict:
    init_default_scope('mmpretrain')
    return {n: DATASETS.build(cfg[f'{n}_dataloader'].dataset) for n in ('train', 'val')}


def make_cache(cfg: Config, work_dir: Path, option=True) -> tuple[ImageCache, str]:
    """A cache that has been filled, and what it said."""
    console = Console(file=io.StringIO(), width=200)
    cache = ImageCache(option, work_dir, console)
    cache.fill(build(cfg), [cfg])
    return cache, console.file.getvalue()


def use(cache: ImageCache, cfg: Config) -> Config:
    """The config with the cache in it."""
    cfg = Config(cfg.to_dict())
    cache.use_in(cfg)
    return cfg


def read(dataset, workers: int = 0) -> list[dict]:
    """All that the pipeline makes of a data set in two epochs, always the same seed."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    loader = DataLoader(
        dataset,
        batch_size=3,
        num_workers=workers,
        collate_fn=pseudo_collate,
        worker_init_fn=lambda worker: worker_init_fn(worker, workers, 0, 0),
    )
    return [batch for _ in range(2) for batch in loader]


def same(first: list[dict], second: list[dict]) -> bool:
    """Whether pixels, labels and all else are the same, bit for bit."""
    if len(first) != len(second):
        return False
    return all(
        torch.equal(x, y)
        and x.dtype == y.dtype
        and repr(a.metainfo) == repr(b.metainfo)
        and torch.equal(a.gt_label, b.gt_label)
        for one, other in zip(first, second, strict=True)
        for x, y, a, b in zip(
            one['inputs'],
            other['inputs'],
            one['data_samples'],
            other['data_samples'],
            strict=True,
        )
    )
