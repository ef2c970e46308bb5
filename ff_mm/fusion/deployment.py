"""The config with which stock mmpretrain uses a model, without ff_mm."""

from __future__ import annotations

import math
from typing import Any

from mmengine.config import Config

from ff_mm.config import without_pretrained
from ff_mm.datasets.files.deep_images import FULL


def deployment_config(cfg: Config) -> Config:
    """Reduces a config to what inference needs.

    Args:
        cfg: A resolved config with ``model`` and a test or validation data loader.

    Returns:
        ``model``, ``data_preprocessor``, the test pipeline, and nothing that needs
        a path or a download: the weights are in the checkpoint. Models, heads, losses
        and loading of ff_mm are replaced by MMPretrain's, which take the same weights
        and predict the same; what is not read without ff_mm, :func:`loading_note` says.
    """
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    kept: dict[str, Any] = dict(
        default_scope='mmpretrain',
        model=_stock(without_pretrained(cfg.model.to_dict())),
        test_dataloader=dict(
            batch_size=loader.get('batch_size', 1),
            dataset=dict(pipeline=_stock(loader['dataset'].get('pipeline', []))),
        ),
    )
    if cfg.get('data_preprocessor'):
        kept['data_preprocessor'] = cfg.data_preprocessor
    if _is_ensemble(cfg):
        kept['custom_imports'] = dict(
            imports=['ff_mm.models'], allow_failed_imports=False
        )
    return Config(_readable(kept))


def model_note(cfg: Config) -> str | None:
    """Says whether the model is one that stock MMPretrain does not have.

    Args:
        cfg: As for :func:`deployment_config`.

    Returns:
        A line; None where it has it.
    """
    if not _is_ensemble(cfg):
        return None
    number = len(cfg.model.weights)
    return (
        'stock MMPretrain has no ensembles: ff_mm must be installed where this is used '
        f'(this config imports it); models, and passes an image: {number}'
    )


def _is_ensemble(cfg: Config) -> bool:
    return cfg.model.get('type') == 'EnsembleClassifier'


def loading_note(cfg: Config) -> str | None:
    """Says which images stock mmpretrain does not load as the model has seen them.

    Args:
        cfg: As for :func:`deployment_config`.

    Returns:
        A line; None where it loads all of them.
    """
    step = own_loading(cfg)
    if step is None:
        return None
    bits = step.get('bits', FULL)
    deep = '' if bits == FULL else f', and takes {bits} bits for {FULL}'
    return (
        f'LoadImageFromFile of stock MMPretrain reads no DICOM{deep}: turn '
        'such images into 8-bit PNG first with LoadDICOM of ff_mm.datasets, or '
        f'import ff_mm and put {step} in its place'
    )


def own_loading(cfg: Config) -> dict[str, Any] | None:
    """Returns the step by which images are loaded, if stock mmpretrain has it not.

    Args:
        cfg: As for :func:`deployment_config`.
    """
    loader = cfg.get('test_dataloader') or cfg.val_dataloader
    for step in loader['dataset'].get('pipeline', []):
        if step.get('type') == 'LoadDICOM':
            return dict(step)
    return None


class _NotFinite(float):
    """A number that Python does not read as it writes it."""

    def __repr__(self) -> str:
        return f"float('{float(self)!r}')"

    __str__ = __repr__


def _readable(value: Any) -> Any:
    """Has infinity and NaN, at any depth, written as what can be read."""
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_readable(item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        return _NotFinite(value)
    return value


def _stock(value: Any) -> Any:
    """Replaces what ff_mm adds to MMPretrain, at any depth."""
    if isinstance(value, (list, tuple)):
        return type(value)(_stock(item) for item in value)
    if not isinstance(value, dict):
        return value
    stock = {key: _stock(item) for key, item in value.items()}
    kind = value.get('type')
    if kind == 'LinearProbingClassifier':
        stock.pop('norm_eval', None)
        return dict(stock, type='ImageClassifier')
    if kind == 'MaskedMultiLabelClsHead':
        # Without the loss, which only training needs: the default is stock.
        stock.pop('loss', None)
        return dict(stock, type='MultiLabelLinearClsHead')
    if kind == 'LoadDICOM':  # of other images it does the same
        stock.pop('bits', None)
        return dict(stock, type='LoadImageFromFile')
    if kind == 'MaskedBCELoss':  # in a head of MMPretrain's
        return dict(type='CrossEntropyLoss', use_sigmoid=True)
    return stock
