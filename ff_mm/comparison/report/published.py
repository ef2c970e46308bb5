"""The paper's results, to stand beside a user's own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError
from ff_mm.files import read_json

_FILE = Path(__file__).with_name('published_results.json')


def published(backbone: str, dataset: str) -> dict[str, float]:
    """Gives the paper's test results of one backbone on one data set.

    Sanjeev et al., FissionFusion, MICCAI 2024 (arXiv 2403.13341), Table 1 and the
    ablation of appendix A1, which leaves EyePACS out.

    Args:
        backbone: ``'ResNet50'`` or ``'DeiT-B'``.
        dataset: ``'CIFAR10'``, ``'HAM10000'``, ...

    Returns:
        Method -> value as a fraction. Methods are called by pool (``gs``: grid search,
        ``fgg``) and soup, such as ``gs_best`` and ``fgg_gog``. ``fgg_augmentation`` is
        the hierarchical soup with augmentation instead of learning rate at the top.

    Raises:
        ConfigError: No such backbone or data set; the message lists those there are.
    """
    data = _published()
    _require('backbone', backbone, data['results'])
    _require('dataset', dataset, data['datasets'])
    rows = data['results'][backbone]
    return {name: row[dataset] for name, row in rows.items() if dataset in row}


def published_metric(dataset: str) -> tuple[str, bool]:
    """Gives the metric of the paper on a data set, and whether it is inferred.

    Raises:
        ConfigError: No such data set.
    """
    datasets = _published()['datasets']
    _require('dataset', dataset, datasets)
    return datasets[dataset]['metric'], datasets[dataset]['inferred']


@cache
def _published() -> dict[str, Any]:
    return read_json(_FILE)


def _require(key: str, value: str, known: dict[str, Any]) -> None:
    if value not in known:
        raise ConfigError(
            f'published.{key}={value!r}: the paper has no such results; expected one '
            f'of {list(known)}, or published=None'
        )
