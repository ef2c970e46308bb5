"""The soft score of the metric that selects, where there is one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmpretrain.registry import METRICS

#: What a fusion's ``selection.metric`` says for it.
SOFT = 'soft'


def with_soft_score(cfg: Config) -> str | None:
    """Has validation give the soft score of the metric that selects, too.

    Args:
        cfg: The config, resolved. Its ``val_evaluator`` is changed.

    Returns:
        The name of the score; None: that metric has none.
    """
    metric = cfg.selection['metric']
    name = metric if metric.startswith(f'{SOFT}_') else f'{SOFT}_{metric}'
    evaluator = cfg.val_evaluator
    if isinstance(evaluator, Mapping):
        evaluator = evaluator.get('metrics', evaluator)
    metrics = [evaluator] if isinstance(evaluator, Mapping) else list(evaluator)
    for number, one in enumerate(metrics):
        items = _items(one)
        if name in items:
            return name
        if metric in items and _gives(one, name):
            metrics[number] = dict(one, items=[*items, name])
            cfg.val_evaluator = metrics
            return name
    return None


def _items(metric: Mapping[str, Any]) -> list[str]:
    """Which scores a metric gives, as the config says or by default."""
    if 'items' in metric:
        return list(metric['items'])
    kind = metric.get('type')
    cls = METRICS.get(kind) if isinstance(kind, str) else kind
    parameter = inspect.signature(cls).parameters.get('items') if cls else None
    default = None if parameter is None else parameter.default
    return list(default) if isinstance(default, (list, tuple)) else []


def _gives(metric: Mapping[str, Any], name: str) -> bool:
    try:
        METRICS.build(dict(metric, items=[name]))
    except (KeyError, TypeError, ValueError):
        return False
    return True
