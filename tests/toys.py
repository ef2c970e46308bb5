"""A network and a data set of a few numbers, for real runs in milliseconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import nn
from torch.utils.data import Dataset

from ff_mm.merging.sparse import mask_of

# Real networks for images of 16 x 16 pixels; features: 4 and 8.
TINY_RESNET = dict(
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=1,
        strides=(1,),
        dilations=(1,),
        out_indices=(0,),
        stem_channels=4,
        base_channels=4,
    ),
    neck=dict(type='GlobalAveragePooling'),
)
TINY_VIT = dict(
    backbone=dict(
        type='VisionTransformer',
        arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8),
        img_size=16,
        patch_size=8,
    )
)


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


class OnlyInfos:
    """A data set of which nothing but what it says of its cases can be had."""

    def __init__(self, infos: list[dict[str, Any]]) -> None:
        self.infos = infos

    def __len__(self) -> int:
        return len(self.infos)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self.infos[index]


def sparsity_of(weights: dict[str, torch.Tensor]) -> float:
    """The fraction of prunable entries that are exactly 0."""
    masks = torch.cat([mask.flatten() for mask in mask_of(weights).values()])
    return 1 - masks.float().mean().item()


class Loads:
    """Gives weights, and counts how many of them are in memory at a time.

    Attributes:
        most: How many there were, at each load.
    """

    def __init__(self) -> None:
        self.most: list[int] = []
        self._alive: set[int] = set()

    def __call__(self) -> dict[str, torch.Tensor]:
        weights = _Counted(w=torch.ones(2))
        weights.alive = self._alive
        self._alive.add(id(weights))
        self.most.append(len(self._alive))
        return weights


class _Counted(dict):
    alive: set[int]

    def __del__(self) -> None:
        self.alive.discard(id(self))


@DATASETS.register_module()
class ToyData(Dataset):
    """Points in the plane; the class is the sign of their sum."""

    metainfo = {'classes': ('below', 'above')}

    def __init__(self, size: int = 12) -> None:
        self.points = torch.randn(size, 2, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        point = self.points[index]
        return dict(inputs=point, labels=(point.sum() > 0).long())


@MODELS.register_module()
class ToyModel(BaseModel):
    """A linear layer behind batch norm."""

    def __init__(self, classes: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm = nn.BatchNorm1d(2)
        self.fc = nn.Linear(2, classes)

    def forward(
        self, inputs: torch.Tensor, labels: torch.Tensor, mode: str = 'tensor'
    ) -> Any:
        scores = self.fc(self.norm(inputs))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(scores, labels))
        return scores


@METRICS.register_module()
class ScriptedMetric(BaseMetric):
    """Gives the value that a test has written down for the epoch."""

    default_prefix = ''

    def __init__(self, values: list[float], name: str = 'score') -> None:
        super().__init__()
        self.values, self.name = values, name

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list) -> dict[str, float]:
        epoch = MessageHub.get_current_instance().get_info('epoch')
        return {self.name: float(self.values[epoch])}


def toy_loader(workers: int = 0, shuffle: bool = False) -> dict[str, Any]:
    """The config of a data loader of three batches; workers stay between epochs."""
    return dict(
        batch_size=4,
        num_workers=workers,
        persistent_workers=workers > 0,
        dataset=dict(type='ToyData'),
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        collate_fn=dict(type='default_collate'),
    )


def toy_config(work_dir: Path | str, epochs: int = 4, **changes: Any) -> Config:
    """The config of a run over three batches an epoch, in milliseconds."""
    cfg = dict(
        model=dict(type='ToyModel'),
        work_dir=str(work_dir),
        train_dataloader=toy_loader(shuffle=True),
        val_dataloader=toy_loader(),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        val_evaluator=dict(type='ScriptedMetric', values=list(range(epochs))),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[],
        default_scope='mmengine',
        randomness=dict(seed=0),
        experiment_name=Path(work_dir).name,
    )
    cfg.update(changes)
    return Config(cfg)
