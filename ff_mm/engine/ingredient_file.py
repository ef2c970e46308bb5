"""The file of one ingredient: weights and meta, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ff_mm.engine.distributed import unwrapped_model
from ff_mm.merging.state_dict import StateDict, write_checkpoint
from ff_mm.plain import plain_metrics, to_plain


def model_weights(model: torch.nn.Module) -> StateDict:
    """Returns a model's weights and buffers as files hold them.

    They are on the CPU, in torch's own order of values whatever the model computes in
    (channels_last), and without a wrapper's prefix.
    """
    return {
        key: in_default_layout(value.detach().cpu())
        for key, value in unwrapped_model(model).state_dict().items()
    }


def in_default_layout(tensor: Tensor) -> Tensor:
    """Returns a tensor with the strides of a new one: itself, or else a copy.

    ``contiguous()`` does not see to that: where a side is 1 it leaves the strides of
    channels_last as they are, and they would get into the file.
    """
    if tensor.layout != torch.strided:
        return tensor
    if tensor.stride() == torch.empty(tensor.shape, device='meta').stride():
        return tensor
    return tensor.clone(memory_format=torch.contiguous_format)


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
    plain = plain_metrics(metrics)
    entry = to_plain(dict(description, metrics=plain), 'ingredient')
    meta = dict(
        epoch=entry.get('epoch'),
        dataset_meta=to_plain(dict(dataset_meta), 'dataset_meta'),
        ingredient=entry,
    )
    digest = write_checkpoint(dict(meta=meta, state_dict=state_dict), path)
    return dict(entry, file=Path(path).name, sha256=digest)
