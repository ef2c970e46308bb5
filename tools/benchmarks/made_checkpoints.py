"""Checkpoints of a real network's shapes, made up to measure merging with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from measuring import ROOT
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from ff_mm.config import load_config, resolve
from ff_mm.errors import FFMMError
from ff_mm.files import atomic_write
from ff_mm.merging import StateDict, write_checkpoint

# What all checkpoints lie around.
ORIGIN = 'origin.pth'
# Gram matrices that all are taken to have.
GRAMS = 'grams.pth'


def make_checkpoints(
    network: str, folder: Path, count: int, weights_only: bool
) -> list[Path]:
    """Saves what MMEngine saves while training, of weights around a common start."""
    torch.manual_seed(0)
    model = build(network)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    files = [folder / f'{i:03}.pth' for i in range(count)]
    missing = [file for file in files if not file.is_file()]
    parts = 1 if weights_only else 3
    folder.mkdir(parents=True, exist_ok=True)
    write_checkpoint(dict(state_dict=model.state_dict()), folder / ORIGIN)
    check_disk(folder, 1.03 * parts * len(missing) * size_of(model.state_dict()))
    for file in missing:
        weights = {
            key: value + 0.01 * torch.randn_like(value) if value.is_floating_point()
            else value.clone()
            for key, value in model.state_dict().items()
        }  # fmt: skip
        checkpoint = dict(meta=dict(epoch=1), state_dict=weights, message_hub={})
        if not weights_only:
            checkpoint['optimizer'] = optimizer.state_dict()
        with atomic_write(file) as opened:
            torch.save(checkpoint, opened)
    return files


def make_grams(weights: StateDict, file: Path) -> None:
    """Saves positive definite matrices of the shapes that RegMean asks for."""
    if file.is_file():
        return
    grams = {}
    for key, weight in weights.items():
        if weight.dim() > 1:
            inputs = weight[0].numel()
            samples = torch.randn(64, inputs)
            grams[key] = (samples.T @ samples / 64 + torch.eye(inputs))[None]
    check_disk(file.parent, 1.03 * size_of(grams))
    write_checkpoint(dict(state_dict=grams), file)


def build(network: str) -> nn.Module:
    """Builds a network with random weights, as MMEngine's Runner would."""
    (config,) = (ROOT / 'configs').rglob(f'gog_ham10000_{network}.py')
    init_default_scope('mmpretrain')
    return MODELS.build(resolve(load_config(config, dict(starting_weights=None))).model)


def size_of(weights: Mapping[str, torch.Tensor]) -> int:
    """Bytes of a model."""
    return sum(tensor.nbytes for tensor in weights.values())


def check_disk(folder: Path, needed: float) -> None:
    """Says before anything is written if it would not fit."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > 0.95 * free:
        raise FFMMError(
            f'{folder}: {needed / 1e9:.0f} GB of checkpoints do not fit, '
            f'{free / 1e9:.0f} GB are free; take fewer (--count) or smaller ones '
            f'(--networks), or another disk (--keep DIR, or TMPDIR)'
        )
