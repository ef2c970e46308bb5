"""The metrics of a config, of predictions that are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from mmengine.evaluator import BaseMetric

from ff_mm.display.numbers import overall
from ff_mm.errors import FFMMError
from ff_mm.evaluation.kept_results import unpack
from ff_mm.evaluation.metrics.base import (
    Scores,
    is_counted,
    kept_at_once,
    once,
    stack,
)
from ff_mm.evaluation.metrics.offline import (
    build_metrics,
    compute,
    prefixed,
    process,
    silence,
)
from ff_mm.plain import to_plain
from ff_mm.tasks.classification import data_sample


class Scored(Protocol):
    """Cases with their truth and what a model says of them.

    Attributes:
        truth: Class numbers of shape (cases,), or int8 of shape (cases, labels): 1
            present, 0 absent, -1 missing.
        scores: Float32 of shape (cases, classes or labels): MMPretrain's
            ``pred_score``.
    """

    @property
    def truth(self) -> np.ndarray:
        """What the cases are."""

    @property
    def scores(self) -> np.ndarray:
        """What a model says of them."""


class PredictionMetrics:
    """Computes metrics of predictions, all cases or resamples of them.

    Each metric sees data samples as MMPretrain's heads leave them, with truth, scores,
    and the class of the largest score (or the labels of one half or more), and no
    images. What comes out is what MMEngine's ``Evaluator`` gives.

    Args:
        evaluator: The config of one metric, of a list of them, or of an evaluator that
            has such a list as ``metrics``, such as ``val_evaluator``.
        dataset_meta: Meta information of the data set; ``classes`` names the classes.

    Raises:
        ConfigError: A metric that cannot be built.
    """

    def __init__(self, evaluator: Any, dataset_meta: Mapping[str, Any] | None) -> None:
        self.dataset_meta = dataset_meta
        self._metrics = build_metrics(evaluator, dataset_meta)

    def evaluate(self, predictions: Scored) -> dict[str, Any]:
        """Computes all metrics of all cases.

        Args:
            predictions: Truth and scores.

        Returns:
            Name -> value, as ``Evaluator.evaluate`` gives them.

        Raises:
            FFMMError: A metric of ff_mm that does not go with the labels.
        """
        found: dict[str, Any] = {}
        if (results := _kept(self._metrics, predictions)) is not None:
            for metric, own in zip(self._metrics, results, strict=True):
                found.update(compute(metric, own))
            return found
        samples: list[dict[str, Any]] | None = None
        for metric in self._metrics:
            kept = kept_at_once(metric, predictions.truth, predictions.scores)
            if kept is not None:
                values = once(metric.scores(*kept), len(kept[0]))
                found.update((prefixed(metric, name), v) for name, v in values.items())
                continue
            samples = _samples(predictions) if samples is None else samples
            found.update(compute(metric, process(metric, samples)))
        return found

    def resampled(self, predictions: Scored) -> ResampledMetrics:
        """Returns the overall metrics of resamples of the cases.

        Args:
            predictions: Truth and scores.

        Raises:
            FFMMError: A metric of ff_mm that does not go with the labels.
        """
        results = _kept(self._metrics, predictions)
        if results is None:
            samples = _samples(predictions)
            results = [process(metric, samples) for metric in self._metrics]
        return ResampledMetrics(self._metrics, results)


class ResampledMetrics:
    """The overall metrics of resamples of the cases of one model.

    Overall is what :func:`ff_mm.display.numbers.overall` says, before a prefix
    is added, if it is a fraction or another float: not what belongs to single classes,
    no matrix and no count.

    Of ff_mm's own metrics all resamples are computed at once, by what defines them
    (:meth:`ff_mm.evaluation.metrics.base.CountedMetric.scores`), thousands a second.
    Any other metric is computed resample by resample from what it keeps of the chosen
    cases.

    Args:
        metrics: The metrics, with their meta information.
        results: What each keeps of the cases.
    """

    def __init__(
        self, metrics: Sequence[BaseMetric], results: Sequence[list[Any]]
    ) -> None:
        self._parts: list[tuple[BaseMetric, list[str], Scores]] = []
        for metric, own in zip(metrics, results, strict=True):
            with silence():
                names = list(overall_floats(metric.compute_metrics(list(own))))
                if names:
                    self._parts.append((metric, names, _scores(metric, own)))

    @property
    def names(self) -> list[str]:
        """The names of the metrics, in the order of the config."""
        return [prefixed(m, name) for m, names, _ in self._parts for name in names]

    def values(
        self, counts: np.ndarray, only: str | None = None
    ) -> dict[str, np.ndarray]:
        """Computes the metrics of resamples.

        Args:
            counts: How often each case is in each resample, float64 of shape
                (resamples, cases). An array of indices becomes a row of counts by
                ``np.bincount(indices, minlength=cases)``. No resample is empty.
            only: A metric that is wanted; None: all.

        Returns:
            Name -> float64 of shape (resamples,); NaN where a resample leaves a metric
            undefined. Of ones they are the values of :meth:`PredictionMetrics.
            evaluate`, but for rounding.

        Raises:
            FFMMError: A metric of others that does not keep one thing a case.
        """
        found: dict[str, np.ndarray] = {}
        for metric, names, scores in self._parts:
            if only is not None and only not in [prefixed(metric, n) for n in names]:
                continue
            values = scores(counts)
            found.update((prefixed(metric, name), values[name]) for name in names)
        return found


def _scores(metric: BaseMetric, results: Sequence[Any]) -> Scores:
    """What computes a metric of resamples, from what it keeps of each case."""
    if is_counted(metric):
        return metric.scores(*stack(results))
    return repeated(metric, results)


def repeated(metric: BaseMetric, results: Sequence[Any]) -> Scores:
    """Returns what computes any metric of resamples, one after the other.

    The metric is shown what it keeps of each case as often as the case counts.

    Args:
        metric: Any metric of MMEngine's kind.
        results: What it keeps of each case.
    """

    def of_resample(times: np.ndarray) -> dict[str, float]:
        chosen = np.repeat(np.arange(len(times)), times).tolist()
        return overall_floats(metric.compute_metrics([results[i] for i in chosen]))

    def values(counts: np.ndarray) -> dict[str, np.ndarray]:
        if counts.shape[1] != len(results):
            raise FFMMError(
                f'{type(metric).__name__} keeps {len(results)} results of '
                f'{counts.shape[1]} cases, so no case can be drawn twice: expected one '
                'of each; take the metric out of the evaluator'
            )
        with silence():
            rows = [of_resample(times) for times in counts.astype(np.int64)]
        names = {name for row in rows for name in row}
        return {
            name: np.array([row.get(name, np.nan) for row in rows]) for name in names
        }

    return values


def overall_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that resamples are asked for: numbers, but no counts."""
    plain = to_plain(dict(metrics))
    chosen = {name: plain[name] for name in overall(plain)}
    return {name: value for name, value in chosen.items() if isinstance(value, float)}


def _kept(metrics: Sequence[BaseMetric], predictions: Scored) -> list[list[Any]] | None:
    """What each metric has kept of cases, of models that give no probabilities."""
    kept = getattr(predictions, 'kept', None)
    if kept is None:
        return None
    return [unpack(kept, number) for number in range(len(metrics))]


def _samples(predictions: Scored) -> list[dict[str, Any]]:
    pairs = zip(predictions.truth, predictions.scores, strict=True)
    return [data_sample(truth, scores) for truth, scores in pairs]
