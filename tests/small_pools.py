"""A small pool, trained once, and configs of analyses of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import METRICS, MODELS, RUNNERS
from mmpretrain.structures import DataSample
from torch import nn

from ff_mm.analysis.connectivity.result import Connectivity
from ff_mm.analysis.loss_surface.result import LossSurface
from ff_mm.merging import write_checkpoint


@pytest.fixture(scope='session')
def small_pool(tmp_path_factory, generation_config) -> Config:
    """The config of a finished generation: two bases, two snapshots of each."""
    cfg = generation_config(tmp_path_factory.mktemp('small_pool'))
    RUNNERS.build(cfg).train()
    return cfg


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
