"""What the training benchmarks compare with: the same runs in stock MMPretrain.

A generation config is rewritten as a user of MMPretrain alone would write it: its own
``CustomDataset`` over a list of images, its hooks, MMEngine's schedulers. Images for
those who have none at hand are made here too.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS

from ff_mm.config import load_config, resolve

CONFIGS = Path(__file__).resolve().parent / 'configs'
NETWORKS = ('efficientnet_lite0', 'resnet18')
CLASSES = ('akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc')
_RUNTIME = "_base_ = 'mmpretrain::_base_/default_runtime.py'"


def benchmark_config(
    network: str, data_root: str | Path, options: Mapping[str, Any]
) -> Config:
    """Reads the generation config of a network, references not yet resolved.

    Args:
        network: One of ``NETWORKS``.
        data_root: A folder as ``configs/ham10000.py`` describes it.
        options: What else differs, as in ``--cfg-options``.
    """
    # Random weights train as fast as any.
    start = dict(data_root=str(Path(data_root).resolve()), starting_weights=None)
    return load_config(CONFIGS / f'pool_{network}.py', {**start, **options})


def make_images(folder: Path, number: int) -> Path:
    """Makes a data set in the form of HAM10000: photographs in size, noise in content.

    Args:
        folder: Where to; images that are there are made anew.
        number: Of images; an eighth of them is for validation.

    Returns:
        The folder, as ``configs/ham10000.py`` wants it.
    """
    random = np.random.default_rng(0)
    (folder / 'images').mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(number):
        coarse = random.integers(0, 256, (19, 25, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (200, 150), interpolation=cv2.INTER_CUBIC)
        name = f'images/{index:05d}.jpg'
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, 75])
        split = 'val' if index % 8 == 0 else 'train'
        label = CLASSES[index // 8 % len(CLASSES)]
        rows.append([name, label, f'lesion{index}', split, 'vidir_modern'])
    with open(folder / 'ham10000.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', 'dx', 'lesion_id', 'split', 'source'])
        writer.writerows(rows)
    return folder


def build_datasets(cfg: Config) -> dict[str, BaseDataset]:
    """Builds the train and val sets of a generation config."""
    resolved = resolve(cfg)
    init_default_scope('mmpretrain')
    datasets = {}
    for name in ('train', 'val'):
        datasets[name] = DATASETS.build(resolved[f'{name}_dataloader'].dataset)
        datasets[name].full_init()
    return datasets


def stock_config(
    cfg: Config, datasets: Mapping[str, BaseDataset], folder: Path, **changes: Any
) -> Config:
    """Rewrites a generation config for one run of stock MMPretrain.

    Args:
        cfg: The generation config.
        datasets: Its train and val sets, of which lists are written.
        folder: The run's work directory.
        **changes: Entries of the result, such as ``train_cfg`` and ``param_scheduler``.

    Returns:
        A config that needs nothing of ff_mm.
    """
    given = resolve(cfg)
    stock = Config.fromstring(_RUNTIME, '.py').to_dict()
    kept = ('model', 'data_preprocessor', 'optim_wrapper', 'val_cfg')
    stock.update({key: given[key] for key in kept})
    stock['val_evaluator'] = [
        dict(type='Accuracy'),
        dict(type='SingleLabelMetric', items=['recall']),
    ]
    for name, dataset in datasets.items():
        stock[f'{name}_dataloader'] = _stock_loader(given, name, dataset, folder)
    stock.update(work_dir=str(folder), randomness=dict(seed=0), **changes)
    return Config(stock)


def _stock_loader(
    cfg: Config, name: str, dataset: BaseDataset, folder: Path
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    lines = [f'{info["img_path"]} {info["gt_label"]}' for info in infos]
    (folder / f'{name}.txt').write_text('\n'.join(lines))
    loader = cfg[f'{name}_dataloader'].to_dict()
    loader['dataset'] = dict(
        type='CustomDataset',
        ann_file=str(folder / f'{name}.txt'),
        classes=list(dataset.metainfo['classes']),
        pipeline=loader['dataset']['pipeline'],
    )
    # What mmpretrain's tools/train.py fills in, but memory pinned for a GPU.
    loader.update(persistent_workers=loader['num_workers'] > 0, pin_memory=False)
    loader['collate_fn'] = dict(type='default_collate')
    return loader
