"""What the checks of gpu_check.py train and fuse: small plans, and pools of noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from measuring import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from separate import Setting
from stock import CONFIGS, benchmark_config, make_images

from ff_mm.config import load_config, resolve
from ff_mm.merging import write_checkpoint

# A network of eighths, for a CPU.
_NARROW = {
    'model.backbone.stem_channels': 8,
    'model.backbone.base_channels': 8,
    'model.head.in_channels': 64,
}
_RESNET50 = {'model.backbone.depth': 50, 'model.head.in_channels': 2048}


def images(setting: Setting, number: int) -> Path:
    """Makes images once for all checks, see :func:`stock.make_images`."""
    folder = setting.shared / f'{number} images'
    if not (folder / 'ham10000.csv').exists():  # which is written last
        make_images(folder, number)
    return folder


def plan(setting: Setting, name: str, **options: Any) -> Config:
    """A plan of one base and its fission; ``plan__base__epochs=2`` is an option.

    Args:
        setting: Of the check.
        name: Of the work directory, in the folder of the check.
        options: What else differs.
    """
    given = {
        **_common(setting),
        'test_dataloader': None,
        'train_dataloader.batch_size': 8 if setting.small else 64,
        'plan.lrs': [1e-3],
        'plan.probe': None,
        'plan.base': dict(epochs=2, _delete_=True),
        'plan.fission': dict(epochs=2, cycle=1, phase=0, _delete_=True),
    }
    given |= {key.replace('__', '.'): value for key, value in options.items()}
    cfg = benchmark_config('resnet18', images(setting, _number(setting)), given)
    cfg.work_dir = str(setting.folder / name)
    return cfg


def large(setting: Setting, epochs: int) -> Config:
    """A plan as users have it: ResNet-50 at 224 pixels, heavily augmented."""
    given = {
        **_common(setting),
        **({} if setting.small else {**_RESNET50, **_workers(_shipped())}),
        'image_size': 32 if setting.small else 224,
        'augmentation': 'heavy',
        'train_dataloader.batch_size': 8 if setting.small else 128,
        'plan.fission': dict(epochs=epochs, cycle=1, phase=0, _delete_=True),
    }
    root = images(setting, _number(setting) if setting.small else 4096)
    return benchmark_config('resnet18', root, given)


def fusion(setting: Setting, name: str, soup: str, files: str) -> Config:
    """A fusion that chooses by the validation loss, of which no two are the same.

    Args:
        setting: Of the check.
        name: Of the work directory, in the folder of the check.
        soup: A file of ``configs/_base_/soups/``.
        files: The ingredients.
    """
    root = images(setting, _number(setting))
    options = {
        **_common(setting),
        'data_root': str(root),
        'ingredients': files,
        'test_dataloader': None,
        'selection': dict(metric='loss', rule='less'),
        'work_dir': str(setting.folder / name),
    }
    file = ROOT / 'configs' / '_base_' / 'soups' / f'{soup}.py'
    return load_config(CONFIGS / 'gog_resnet18.py', options, file)


def noisy_pool(setting: Setting, count: int) -> str:
    """Writes ingredients that lie around one network; gives the pattern of the files.

    That network finds all classes alike, which is best where images are noise. Means
    lie nearer to it, so that soups have something to gain.
    """
    folder = setting.folder / 'pool'
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    model = MODELS.build(resolve(plan(setting, 'unused')).model)
    model.init_weights()
    weights = model.state_dict()
    noise = {name: 0.05 for name, _ in model.named_parameters()}
    for name in weights:
        if name.startswith('head.'):
            weights[name].zero_()
            noise[name] = 0.5
    for number in range(count):
        noisy = {
            key: value + noise[key] * torch.randn_like(value) if key in noise else value
            for key, value in weights.items()
        }
        path = folder / f'{number:02}.pth'
        write_checkpoint(dict(meta={}, state_dict=noisy), path)
    return str(folder / '*.pth')


def _number(setting: Setting) -> int:
    return 64 if setting.small else 2048


def _common(setting: Setting) -> dict[str, Any]:
    if not setting.small:
        return {'image_size': 64}
    return {'image_size': 32, **_NARROW, **_workers(0)}


def _workers(number: int | str) -> dict[str, Any]:
    return {f'{name}_dataloader.num_workers': number for name in ('train', 'val')}


def _shipped() -> int | str:
    """The number of data workers of which a config says nothing."""
    images = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / 'images.py')
    return images.train_dataloader.num_workers
