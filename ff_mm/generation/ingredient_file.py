"""The file of one ingredient: weights and meta, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.model import is_model_wrapper

from ff_mm.merging.state_dict import StateDict, write_checkpoint
from ff_mm.plain import to_plain


def model_weights(model: torch.nn.Module) -> StateDict:
    """Returns a model's weights and buffers on the CPU, without a wrapper's prefix."""
    module = model.module if is_model_wrapper(model) else model
    return {key: value.detach().cpu() for key, value in module.state_dict().items()}


def write_ingredient(
    path: str | Path,
    state_dict: StateDict,
    description: Mapping[str, Any],
    metrics: Mapping[str, float],
    dataset_meta: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes one ingredient and returns its entry for ``ingredients.json``.

    The bytes depend on nothing but the content: no time, no path. Stock mmpretrain
    loads the file (``init_model(config, checkpoint=path)``).

    Args:
        path: The file to write, atomically.
        state_dict: Weights and buffers, any dtype.
        description: ``name``, ``stage``, ``hyper``, ``epoch``, ``cycle``, ``parent``.
        metrics: Validation metrics of this very model, as fractions.
        dataset_meta: The data set's meta information, such as ``classes``.

    Returns:
        The description with ``file`` (the file's name), ``sha256`` and ``metrics``.
    """
    entry = to_plain(dict(description, metrics=dict(metrics)), 'ingredient')
    meta = dict(
        epoch=entry.get('epoch'),
        dataset_meta=to_plain(dict(dataset_meta), 'dataset_meta'),
        ingredient=entry,
    )
    digest = write_checkpoint(dict(meta=meta, state_dict=state_dict), path)
    return dict(entry, file=Path(path).name, sha256=digest)
