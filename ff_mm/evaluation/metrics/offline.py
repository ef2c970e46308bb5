"""Metrics of truth and scores that are at hand: no model, no loader, no ranks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.logging import MMLogger
from mmpretrain.registry import METRICS

from ff_mm.errors import ConfigError


def build_metrics(
    evaluator: Any,
    dataset_meta: Mapping[str, Any] | None,
    where: str = 'val_evaluator',
) -> list[BaseMetric]:
    """Builds the metrics of a config, without ``DumpResults``, which gives none.

    Args:
        evaluator: The config of one metric, of a list of them, or of an evaluator that
            has such a list as ``metrics``.
        dataset_meta: Meta information of the data set, with the names of its classes.
        where: The config key, for the error.

    Raises:
        ConfigError: A metric that cannot be built.
    """
    if isinstance(evaluator, Mapping):
        evaluator = evaluator.get('metrics', evaluator)
    configs = [evaluator] if isinstance(evaluator, Mapping) else evaluator
    metrics = [_build_metric(config, where) for config in configs]
    metrics = [metric for metric in metrics if not isinstance(metric, DumpResults)]
    for metric in metrics:
        metric.dataset_meta = dataset_meta
    return metrics


def _build_metric(config: Any, where: str) -> BaseMetric:
    try:
        return METRICS.build(config)
    except (KeyError, TypeError, ValueError) as error:
        text = error.args[0] if error.args else error
        raise ConfigError(f'{where}: {dict(config)}: {text}') from error


def process(metric: BaseMetric, samples: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Returns what a metric keeps of data samples, and clears the metric."""
    metric.process(None, samples)
    results = list(metric.results)
    metric.results.clear()
    return results


def compute(metric: BaseMetric, results: Sequence[Any]) -> dict[str, Any]:
    """Returns what a metric gives, its prefix before each name.

    ``metric.evaluate`` would gather the results of all ranks.
    """
    values = metric.compute_metrics(list(results))
    return {prefixed(metric, name): value for name, value in values.items()}


def prefixed(metric: BaseMetric, name: str) -> str:
    """Returns a name with the metric's prefix, if it has one."""
    return f'{metric.prefix}/{name}' if metric.prefix else name


@contextmanager
def silence() -> Iterator[None]:
    """Keeps back what metrics have to say about predictions that nobody made."""
    logger = MMLogger.get_current_instance()
    logger.addFilter(_nothing)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.removeFilter(_nothing)


def _nothing(record: Any) -> bool:
    return False
