"""Whether two metrics were taken in the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ff_mm.datasets.checks.check import fingerprint


def validation_fingerprint(cfg: Config, dataset: Any) -> str:
    """Identifies the validation of a config, see :func:`evaluation_fingerprint`.

    Args:
        cfg: A resolved config.
        dataset: Its validation set.
    """
    return evaluation_fingerprint(cfg, cfg.val_dataloader, dataset)


def evaluation_fingerprint(cfg: Config, loader: Mapping[str, Any], dataset: Any) -> str:
    """Identifies what a model is shown: images, labels, and how they are shown.

    Args:
        cfg: A resolved config.
        loader: A data loader of it.
        dataset: That loader's data set.

    Returns:
        A SHA-256 over the cases (see
        :func:`ff_mm.datasets.checks.check.fingerprint`), the pipeline and the
        preprocessing: the same images at another size give other metrics.
    """
    shown = dict(
        cases=fingerprint(dataset),
        pipeline=loader['dataset'].get('pipeline'),
        preprocessing=cfg.get('data_preprocessor'),
    )
    text = json.dumps(shown, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
