"""The config with which stock mmpretrain uses a model, without ff_mm."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from ff_mm.config import without_pretrained


def deployment_config(cfg: Config) -> Config:
    """Reduces a config to what inference needs.

    Args:
        cfg: A resolved config with ``model`` and a test or validation data loader.

    Returns:
        ``model``, ``data_preprocessor``, the test pipeline, and nothing that needs
        ff_mm, a path, or a download: the weights are in the checkpoint.
    """
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    kept: dict[str, Any] = dict(
        default_scope='mmpretrain',
        model=without_pretrained(cfg.model.to_dict()),
        test_dataloader=dict(
            batch_size=loader.get('batch_size', 1),
            dataset=dict(pipeline=loader['dataset'].get('pipeline', [])),
        ),
    )
    if cfg.get('data_preprocessor'):
        kept['data_preprocessor'] = cfg.data_preprocessor
    return Config(kept)
