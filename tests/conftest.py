"""Tiny real networks and runs, shared by all tests."""

from __future__ import annotations

import os

# Several tests run at once, each on one core, and sums of floats depend on the number
# of threads. Before torch is imported; processes that are started inherit it.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import copy
import functools
import gc
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import HOOKS, DefaultScope
from mmengine.visualization import Visualizer
from small_pools import *  # noqa: F403
from toys import Canary, toy_config

from ff_mm.config import load_config
from ff_mm.engine import QuietRunner

ROOT = Path(__file__).parents[1]

# With which MMEngine lays out the text of a config; the fork imports it late.
LAYING_OUT = ('mmengine.config.config.FormatCode', 'yapf.yapflib.yapf_api.FormatCode')

# How long an example takes says how busy the machine is.
settings.register_profile(
    'untimed', deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile('untimed')

# The quickstart's config, cut down to seconds: a ResNet of two stages, four channels
# wide, on 40 images a set, and a plan of five trials. Drop-path and augmentation draw
# random numbers, so that a run that is resumed wrongly ends elsewhere.
TINY = {
    'image_size': 8,
    'model.backbone.num_stages': 2,
    'model.backbone.strides': (1, 1),
    'model.backbone.dilations': (1, 1),
    'model.backbone.out_indices': (1,),
    'model.backbone.stem_channels': 4,
    'model.backbone.base_channels': 4,
    'model.backbone.drop_path_rate': 0.2,
    'model.head.in_channels': 8,
    'train_dataloader.batch_size': 8,
    'train_dataloader.dataset.indices': 40,
    'val_dataloader.dataset.indices': 40,
    'test_dataloader.dataset.indices': 40,
    'ood_dataloaders.corrupted.dataset.indices': 40,
    'plan.lrs': [1e-2, 1e-3],
    'plan.probe': dict(epochs=2, freeze=False, _delete_=True),
    'plan.base': dict(epochs=3, _delete_=True),
    # Minima at the ends of epochs 1 and 3.
    'plan.fission': dict(
        epochs=3, cycle=2, phase=0, max_lr=5e-3, min_lr=1e-5, _delete_=True
    ),
}


@pytest.fixture(scope='session', autouse=True)
def cheap_runs() -> Iterator[None]:
    """Leaves out what takes most of a tiny run's time and decides nothing.

    Garbage collection with all that is imported, and yapf, with which MMEngine lays
    out the text of the config for each log and each checkpoint.
    """
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        for function in LAYING_OUT:
            patch.setattr(function, _as_it_is, raising=False)
        yield
    gc.unfreeze()


def _as_it_is(text: str, **_: Any) -> tuple[str, bool]:
    return text, True


GLOBAL_TABLES = (DefaultScope, MMLogger, MessageHub, Visualizer)


@pytest.fixture(scope='module', autouse=True)
def no_leftovers_of_a_module() -> Iterator[None]:
    """Restores MMEngine's global tables after fixtures of a whole module."""
    before = [(cls, cls._instance_dict.copy()) for cls in GLOBAL_TABLES]
    yield
    for cls, entries in before:
        cls._instance_dict = entries


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """Restores MMEngine's global tables and the environment, also if a test fails."""
    before = [(cls, cls._instance_dict.copy()) for cls in GLOBAL_TABLES]
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)
    for cls, entries in before:
        cls._instance_dict = entries


@functools.lru_cache(maxsize=1)
def _tiny() -> Config:
    return load_config(ROOT / 'configs' / 'fgg_digits_resnet18.py', TINY)


def generation_config(work_dir: Path | str, **options: Any) -> Config:
    """A small generation config; ``plan__base__epochs=2`` sets ``plan.base.epochs``."""
    cfg = copy.deepcopy(_tiny())
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in options.items()})
    cfg.work_dir = str(work_dir)
    return cfg


@pytest.fixture(name='generation_config', scope='session')
def _generation_config() -> Callable[..., Config]:
    """The function :func:`generation_config`."""
    return generation_config


@HOOKS.register_module()
class Interrupt(Hook):
    """Raises KeyboardInterrupt once, at the moment that a test has set.

    It stands in the config of runs that are interrupted and of those that are not,
    as the ledger compares configs.
    """

    priority = 'LOWEST'
    # Trial, its epoch from 1, and the hook point.
    moment: tuple[str, int, str] | None = None

    def _at(self, runner: Any, epoch: int, point: str) -> None:
        if Interrupt.moment == (Path(runner.work_dir).name, epoch, point):
            Interrupt.moment = None
            raise KeyboardInterrupt

    def after_train_iter(self, runner: Any, batch_idx: int, *_: Any, **__: Any) -> None:
        if batch_idx == 2:
            self._at(runner, runner.epoch + 1, 'training')

    def after_val_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        self._at(runner, runner.epoch, 'validation')

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        self._at(runner, runner.epoch, 'validated')

    def after_train(self, runner: Any) -> None:
        self._at(runner, runner.epoch, 'trained')


@pytest.fixture
def interrupt() -> Iterator[type[Interrupt]]:
    """The hook; set ``interrupt.moment``."""
    Interrupt.moment = None
    yield Interrupt
    Interrupt.moment = None


@pytest.fixture
def toy_runner(tmp_path: Path) -> Iterator[Callable[..., QuietRunner]]:
    """A function that builds a small real Runner; arguments are config entries."""
    runners = []

    def build(name: str = 'toy', **changes: Any) -> QuietRunner:
        runners.append(QuietRunner.from_cfg(toy_config(tmp_path / name, **changes)))
        return runners[-1]

    yield build
    for runner in runners:
        runner.release()


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A function that runs a file of tools/ as a user does; gives the exit code.

    In this process, since starting Python and importing all takes seconds.
    """

    def run(name: str, *arguments: object) -> int:
        path = ROOT / 'tools' / name
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        try:
            runpy.run_path(str(path), run_name='__main__')
        except SystemExit as stop:
            return stop.code or 0
        return 0

    return run


@pytest.fixture
def malicious(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint that makes a folder when it is unpickled, and that folder."""
    file, marker = tmp_path / 'evil.pth', tmp_path / 'it-ran'
    content = dict(state_dict={'a': torch.ones(1)}, meta=dict(x=Canary(marker)))
    torch.save(content, file)
    return file, marker
