"""A small pool, trained once, and configs of analyses of it."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, METRICS, MODELS, RUNNERS
from mmpretrain.structures import DataSample
from torch import nn

from ff_mm.analysis.connectivity.result import Connectivity
from ff_mm.analysis.loss_surface.result import LossSurface
from ff_mm.datasets import Digits
from ff_mm.merging import write_checkpoint


@pytest.fixture(scope='session')
def small_pool(tmp_path_factory, generation_config) -> Config:
    """The config of a finished generation: two bases, two snapshots of each."""
    cfg = generation_config(tmp_path_factory.mktemp('small_pool'))
    RUNNERS.build(cfg).train()
    return cfg


@dataclass
class SmallSoup:
    """A soup of the small pool: its config, as a file too, and its folder."""

    cfg: Config
    file: Path
    folder: Path


@pytest.fixture(scope='session')
def small_soup(small_pool, tmp_path_factory) -> SmallSoup:
    """The uniform soup of the small pool, as tools/soup.py leaves it."""
    folder = tmp_path_factory.mktemp('small_soup')
    cfg = copy.deepcopy(small_pool)
    cfg.pop('plan')
    cfg.runner_type, cfg.soup = 'UniformSoupRunner', dict()
    cfg.work_dir = str(folder / 'soup')
    cfg.ingredients = f'{small_pool.work_dir}/ingredients.json'
    RUNNERS.build(cfg).run()
    cfg.dump(folder / 'uniform.py')
    return SmallSoup(cfg, folder / 'uniform.py', folder / 'soup')


@HOOKS.register_module()
class FoldWitness(Hook):
    """Notes for each trial the weights it begins with, and what it is shown when."""

    seen: ClassVar[dict[tuple[str, str], set[bytes]]] = {}
    begun: ClassVar[dict[str, float]] = {}
    phase = ('', '')

    def before_train(self, runner: Any) -> None:
        weights = runner.model.state_dict().values()
        FoldWitness.begun[Path(runner.work_dir).name] = sum(
            float(w.double().abs().sum()) for w in weights
        )

    def before_train_epoch(self, runner: Any) -> None:
        FoldWitness.phase = (Path(runner.work_dir).name, 'train')

    def before_val_epoch(self, runner: Any) -> None:
        FoldWitness.phase = (Path(runner.work_dir).name, 'val')

    @classmethod
    def see(cls, info: dict[str, Any]) -> None:
        cls.seen.setdefault(cls.phase, set()).add(info['img'].tobytes())


@dataclass
class FoldPool:
    """A finished generation with folds, what its trials saw, and what was said."""

    cfg: Config
    seen: dict[tuple[str, str], set[bytes]]
    begun: dict[str, float]
    said: str


@pytest.fixture(scope='session')
def fold_pool(tmp_path_factory, generation_config) -> FoldPool:
    """Of two folds: a probe, two bases and a snapshot of each."""
    cfg = generation_config(
        tmp_path_factory.mktemp('fold_pool'),
        plan__folds=2,
        plan__probe__epochs=1,
        plan__base__epochs=2,
        plan__fission__epochs=1,
        custom_hooks=[dict(type='FoldWitness')],
    )
    real, said = Digits.prepare_data, io.StringIO()

    def prepare(self: Digits, idx: int) -> Any:
        FoldWitness.see(self.get_data_info(idx))
        return real(self, idx)

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setattr(Digits, 'prepare_data', prepare)
        RUNNERS.build(cfg).train()
    return FoldPool(
        cfg, dict(FoldWitness.seen), dict(FoldWitness.begun), said.getvalue()
    )


@pytest.fixture
def analysis_config(small_pool, tmp_path) -> Callable[..., Config]:
    """A function: the config of a runner on the small pool; ``lmc__points=5``."""

    def make(runner_type: str, work_dir: Path | None = None, **changes: Any) -> Config:
        cfg = copy.deepcopy(small_pool)
        cfg.pop('plan')
        cfg.runner_type = runner_type
        cfg.work_dir = str(work_dir or tmp_path / 'analysis')
        cfg.ingredients = f'{small_pool.work_dir}/ingredients.json'
        cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
        return cfg

    return make


@MODELS.register_module()
class ToyLandscape(BaseModel):
    """Its output is how high its weights lie: far from the nearest centre, squared."""

    def __init__(self, centres: list[list[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = nn.Parameter(torch.zeros(len(centres[0])))
        self.centres = torch.tensor(centres)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = '') -> list:
        height = (self.weight - self.centres).pow(2).sum(1).min().item()
        return [DataSample(height=height) for _ in range(len(inputs))]


@METRICS.register_module()
class Height(BaseMetric):
    """The loss of :class:`ToyLandscape`."""

    default_prefix = ''

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample['height'] for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return dict(loss=float(np.mean(results)))


@pytest.fixture
def toy_pool(analysis_config, tmp_path) -> Callable[..., tuple]:
    """A function: a function for configs of a pool of toys, and their weights."""

    def make(weights: list[torch.Tensor], centres: list[list[float]]) -> tuple:
        for number, weight in enumerate(weights):
            write_checkpoint(
                dict(state_dict=dict(weight=weight)), tmp_path / f'toy{number}.pth'
            )

        def config(runner_type: str, **changes: Any) -> Config:
            cfg = analysis_config(runner_type, **changes)
            cfg.model = dict(type='ToyLandscape', centres=centres)
            cfg.data_preprocessor = dict(type='ClsDataPreprocessor')
            cfg.val_evaluator = cfg.test_evaluator = [dict(type='Height')]
            cfg.selection = dict(metric='loss', rule='less')
            cfg.ingredients = str(tmp_path / 'toy*.pth')
            return cfg

        return config, torch.stack(weights).double().numpy()

    return make


@pytest.fixture
def folder(tmp_path) -> Path:
    """The work directory of analyses, for tests that look at files; see below."""
    return tmp_path / 'analysis'


@pytest.fixture
def files_where_looked_at(request, monkeypatch) -> None:
    """Leaves out drawing, which takes most of the time, unless a test has folder."""
    if 'folder' not in request.fixturenames:
        monkeypatch.setattr(Connectivity, 'write', lambda *_: [])
        monkeypatch.setattr(LossSurface, 'write', lambda *_: [])
