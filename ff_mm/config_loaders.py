"""Data loaders of configs: what a config need not say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from ff_mm.cores import read_workers
from ff_mm.errors import ConfigError


def set_dataloader_defaults(
    cfg: Config, collate: Mapping[str, Any] | None, *fields: str
) -> None:
    """Fills in what ``tools/train.py`` of a library fills in for data loaders.

    Memory is pinned only where there is a GPU, and workers persist only where there
    are workers: both would warn or raise otherwise.

    Args:
        cfg: Changed in place.
        collate: As for :func:`with_defaults`.
        fields: Keys of data loaders; those that are missing or None are passed over.
    """
    for field in fields:
        loader = cfg.get(field)
        if loader is not None:
            cfg[field] = with_defaults(loader, collate)


def with_defaults(loader: Mapping, collate: Mapping[str, Any] | None) -> ConfigDict:
    """Returns one data loader's config with the defaults filled in.

    Args:
        loader: The config.
        collate: ``collate_fn`` where the config says none; None: MMEngine's own.
    """
    filled = ConfigDict(
        pin_memory=torch.cuda.is_available(),
        persistent_workers=True,
        **({} if collate is None else dict(collate_fn=dict(collate))),
    )
    filled.update(loader)
    filled['num_workers'] = read_workers(filled.get('num_workers'))
    if not filled['num_workers']:
        filled['persistent_workers'] = False
    return filled


def ood_dataloaders(cfg: Config) -> dict[str, dict]:
    """Returns the data loaders of the out-of-distribution sets, complete.

    In ``ood_dataloaders = dict(name=dict(...))`` only what differs from the test set
    needs to be said. A data set that names its own ``type`` takes over the test set's
    pipeline and nothing else. Metrics are those of ``test_evaluator``; a set has others
    where it says ``evaluator``, such as a file of its own truth. A set that is None
    is left out: ``--cfg-options ood_dataloaders.messidor=None``.

    Args:
        cfg: A resolved config.

    Returns:
        Name -> data loader.

    Raises:
        ConfigError: There are such sets but no test set.
    """
    given = cfg.get('ood_dataloaders') or {}
    given = {name: loader for name, loader in given.items() if loader is not None}
    if given and not cfg.get('test_dataloader'):
        raise ConfigError('ood_dataloaders: they complete test_dataloader, give one')
    return {name: _like_test(loader, cfg) for name, loader in given.items()}


def _like_test(loader: Mapping, cfg: Config) -> dict:
    test = cfg.test_dataloader.to_dict()
    dataset = dict(loader.get('dataset', {}))
    inherited = test['dataset']
    if 'type' in dataset:
        inherited = {
            key: inherited[key] for key in ('pipeline', 'test_mode') if key in inherited
        }
    said = {key: value for key, value in loader.items() if key != 'evaluator'}
    return {**test, **said, 'dataset': {**inherited, **dataset}}
