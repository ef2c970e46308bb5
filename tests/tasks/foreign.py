"""A regression of ten lines with its own metric, of which ff_mm knows nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import nn


@DATASETS.register_module()
class Curve(BaseDataset):
    """Noisy points of a sine; a case is told by its number and its values."""

    noise = 0.1

    def __init__(self, seed: int = 0, number: int = 24, shift: float = 0) -> None:
        self.seed, self.number, self.shift = seed, number, shift
        super().__init__(pipeline=[])

    def load_data_list(self) -> list[dict[str, Any]]:
        random = np.random.default_rng(self.seed)
        x = random.uniform(-2, 2, self.number)
        y = np.sin(x) + self.noise * random.standard_normal(self.number)
        y += self.shift
        return [dict(x=a, y=b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]

    def prepare_data(self, idx: int) -> tuple[torch.Tensor, torch.Tensor]:
        info = self.get_data_info(idx)
        return torch.tensor([info['x']]), torch.tensor([info['y']])


@MODELS.register_module()
class CurveFit(BaseModel):
    """Batches are tuples, and so is what it says of them."""

    def __init__(self, width: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.body = nn.Sequential(nn.Linear(1, width), nn.BatchNorm1d(width), nn.Tanh())
        self.last = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = 'tensor') -> Any:
        said = self.last(self.body(x))
        if mode == 'loss':
            return dict(loss=nn.functional.mse_loss(said, y))
        return (said, y) if mode == 'predict' else said


@METRICS.register_module()
class SquaredError(BaseMetric):
    """The mean squared error, as NumPy has it, and a table that is no number."""

    default_prefix = 'curve'

    def process(self, data_batch: Any, data_samples: Any) -> None:
        said, truth = data_samples
        self.results += ((said - truth) ** 2).flatten().tolist()

    def compute_metrics(self, results: list[float]) -> dict[str, Any]:
        return dict(mse=np.float32(np.mean(results)), all=np.array(results[:3]))


def loader(shuffle: bool, **data: Any) -> dict[str, Any]:
    """A data loader as a plain config of MMEngine has it."""
    return dict(
        batch_size=8,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='Curve', **data),
    )


def foreign_config(folder: Any, **changes: Any) -> dict[str, Any]:
    """The config of a plan of this model; nothing in it names MMPretrain."""
    cfg = dict(
        default_scope='mmengine',
        runner_type='GenerationRunner',
        model=dict(type='CurveFit'),
        train_dataloader=loader(True),
        val_dataloader=loader(False, seed=1),
        test_dataloader=loader(False, seed=2),
        ood_dataloaders=dict(shifted=dict(dataset=dict(shift=0.5))),
        train_cfg=dict(by_epoch=True, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=dict(type='SquaredError'),
        test_evaluator=dict(type='SquaredError'),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        selection=dict(metric='curve/mse', rule='less'),
        plan=dict(
            type='FGGPlan',
            lrs=[1e-2, 3e-3],
            probe=dict(epochs=2, freeze=False, monitor='curve/mse'),
            base=dict(epochs=3, monitor='curve/mse'),
            fission=dict(epochs=2, cycle=1, phase=0, max_lr=1e-2, min_lr=1e-4),
        ),
        work_dir=str(folder),
    )
    cfg.update(changes)
    return cfg
