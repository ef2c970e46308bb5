"""The config with which stock mmpretrain uses a model, without ff_mm."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config


def deployment_config(cfg: Config) -> Config:
    """Reduces a config to what inference needs.

    Args:
        cfg: A resolved config with ``model`` and a test or validation data loader.

    Returns:
        ``model``, ``data_preprocessor``, the test pipeline, and nothing that needs
        ff_mm, a path, or a download: the weights are in the checkpoint.
    """
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    model = copy.deepcopy(cfg.model.to_dict())
    _without_initial_weights(model)
    kept: dict[str, Any] = dict(
        default_scope='mmpretrain',
        model=model,
        test_dataloader=dict(
            batch_size=loader.get('batch_size', 1),
            dataset=dict(pipeline=loader['dataset'].get('pipeline', [])),
        ),
    )
    if cfg.get('data_preprocessor'):
        kept['data_preprocessor'] = cfg.data_preprocessor
    return Config(kept)


def _without_initial_weights(node: Any) -> None:
    """Removes what would read or fetch weights when the model is built."""
    if isinstance(node, dict):
        node.pop('init_cfg', None)
        if node.get('pretrained'):
            node['pretrained'] = False if node['pretrained'] is True else None
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for child in node:
            _without_initial_weights(child)
