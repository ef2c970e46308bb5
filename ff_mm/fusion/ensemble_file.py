"""Which network the weights of an ensemble are of."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ff_mm.models.ensemble_classifier import AVERAGES, ensemble_model
from ff_mm.records import NUMBER, WORDS, Is, Rows, Table

_WEIGHT = Is('a number above 0', lambda value: NUMBER.fits(value) and value > 0)
#: What a file and a report say of it.
ENSEMBLE = Table(
    average=Is(f'one of {", ".join(AVERAGES)}', lambda value: value in AVERAGES),
    members=Rows(Table(name=WORDS, weight=_WEIGHT)),
)


def ensemble_config(cfg: Config, weights: Sequence[float], average: str) -> Config:
    """Returns a config whose model is an ensemble of what it was.

    Args:
        cfg: The config of one member, resolved. It is not changed.
        weights: How much each member counts.
        average: ``'probabilities'`` or ``'logits'``.

    Raises:
        ConfigError: A model whose number of classes is not known.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model = ensemble_model(cfg.model.to_dict(), weights, average)
    return cfg


def config_of_file(cfg: Config, meta: Mapping[str, Any]) -> Config:
    """Returns the config that a file's weights are of: an ensemble's if it is of one.

    Args:
        cfg: The config of one model, resolved.
        meta: What the file, or the report of a fusion as ``soup``, says of itself.

    Raises:
        RecordError: It says of an ensemble what cannot be.
    """
    soup = meta.get('soup')
    told = soup.get('ensemble') if isinstance(soup, Mapping) else None
    if told is None or cfg.model.get('type') == 'EnsembleClassifier':
        return cfg
    found = ENSEMBLE.read(told, 'ensemble: ')
    weights = [member['weight'] for member in found['members']]
    return ensemble_config(cfg, weights, found['average'])
