"""Values of methods on one set, their differences, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ff_mm.comparison.resampling import over_drawn_runs, two_sided_p
from ff_mm.errors import ConfigError
from ff_mm.evaluation.metrics.labels import class_names
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions, require_same_cases
from ff_mm.evaluation.resampling import Resampling, percentile_interval
from ff_mm.plain import to_plain


def assess(
    predictions: Mapping[str, Sequence[Predictions]],
    metrics: PredictionMetrics,
    baseline: str,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Computes metrics of methods on one set, with intervals and p values.

    Cases are resampled by group (:class:`ff_mm.comparison.resampling.Resampling`), with
    the same resamples for all models, so that differences are paired. The intervals are
    those of percentiles, p values two-sided (:mod:`ff_mm.comparison.resampling`).

    A method may have several runs, such as repetitions with other seeds. Its value is
    the mean over them, and the interval is over runs and cases: in each resample as
    many runs as there are are drawn with replacement, and averaged on its cases.
    Methods with equally many runs are taken to come in pairs, run i of one from the
    same pool as run i of the other; where they do not, that changes nothing but
    chance. With R runs the variance between runs is underestimated by the factor
    (R - 1) / R, so with two or three the intervals are too narrow.

    Nothing changes for metrics of which less is better: a difference is always the
    method's value less the baseline's.

    Args:
        predictions: Method -> predictions of each of its runs. All are of the same
            cases.
        metrics: The metrics.
        baseline: Name of the method that the others are compared with.
        resamples: How many to draw.
        confidence: Of the intervals, above 0 and below 1.
        seed: The same seed gives the same numbers.

    Returns:
        - ``cases`` and ``groups`` (None: the cases are independent): how many there
          are;
        - ``classes``: name -> number of cases, of multi-label data of positive ones;
        - ``redrawn``: how many resamples were drawn again, since a class was missing;
          ``may_lack``: names of classes too rare to be asked for;
        - ``metrics``: method -> all metrics of each run;
        - ``results``: method -> overall metric -> ``value``, ``sd`` (standard deviation
          over runs, None if there is one), ``low``, ``high``, ``undefined`` (how many
          resamples have no value; the quantiles are those of the others), and
          ``difference`` (None of the baseline): ``value``, ``low``, ``high``, ``p``.

    Raises:
        ConfigError: An unknown baseline, a method without runs, or a number that is out
            of range.
        PredictionsError: Predictions of different cases.
        FFMMError: A metric of ff_mm that does not go with the labels.
    """
    found, _ = assess_and_keep(
        predictions, metrics, baseline, resamples, confidence, seed
    )
    return found


def assess_and_keep(
    predictions: Mapping[str, Sequence[Predictions]],
    metrics: PredictionMetrics,
    baseline: str,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Does what :func:`assess` does, and keeps what the intervals come from.

    Returns:
        What :func:`assess` returns; and method -> overall metric -> values of each run
        in each resample, (runs, resamples). Resamples are the same for all of them.
    """
    _check(predictions, baseline, resamples, confidence)
    first = predictions[baseline][0]
    resampling = Resampling(first, resamples, seed)
    resampled, values = {}, {}
    of_runs = {}
    for method, runs in predictions.items():
        of_runs[method] = [to_plain(metrics.evaluate(run)) for run in runs]
        resampled[method] = _resampled(runs, metrics, resampling)
        values[method] = {
            name: over_drawn_runs(each, seed)
            for name, each in resampled[method].items()
        }
    results = {
        method: _results(of_runs, values, method, baseline, confidence)
        for method in predictions
    }
    names = class_names(metrics.dataset_meta, first.scores.shape[1])
    if first.kept is not None:  # of which nobody knows the classes
        names = []
    found = dict(
        cases=len(first),
        groups=None if first.groups is None else resampling.groups,
        redrawn=resampling.redrawn,
        may_lack=[names[number] for number in resampling.may_lack if names],
        classes=dict(zip(names, _class_counts(first), strict=first.kept is None)),
        metrics=of_runs,
        results=results,
    )
    return found, resampled


def _check(
    predictions: Mapping[str, Sequence[Predictions]],
    baseline: str,
    resamples: int,
    confidence: float,
) -> None:
    if baseline not in predictions:
        raise ConfigError(
            f'baseline={baseline!r}: expected one of the methods {sorted(predictions)}'
        )
    if resamples < 1:
        raise ConfigError(f'resamples={resamples!r}: expected 1 or more, such as 2000')
    if not 0 < confidence < 1:
        raise ConfigError(
            f'confidence={confidence!r}: expected more than 0 and less than 1, such as '
            '0.95'
        )
    for method, runs in predictions.items():
        if not runs:
            raise ConfigError(f'method {method!r} has no run: give it one or more')
    require_same_cases(
        {
            f'{method}, run {number}': run
            for method, runs in predictions.items()
            for number, run in enumerate(runs)
        }
    )


def _resampled(
    runs: Sequence[Predictions], metrics: PredictionMetrics, resampling: Resampling
) -> dict[str, np.ndarray]:
    """Values of a method's runs in each resample, (runs, resamples), by metric."""
    of_runs = [_values(run, metrics, resampling) for run in runs]
    return {name: np.stack([values[name] for values in of_runs]) for name in of_runs[0]}


def _values(
    run: Predictions, metrics: PredictionMetrics, resampling: Resampling
) -> dict[str, np.ndarray]:
    """Values of a model in each resample; one model at a time is held ready."""
    resampled = metrics.resampled(run)
    batches = [resampled.values(counts) for counts in resampling.batches()]
    return {
        name: np.concatenate([batch[name] for batch in batches])
        for name in resampled.names
    }


def _results(
    of_runs: Mapping[str, list[dict[str, Any]]],
    values: Mapping[str, dict[str, np.ndarray]],
    method: str,
    baseline: str,
    confidence: float,
) -> dict[str, dict[str, Any]]:
    results = {}
    for name, resampled in values[method].items():
        own = np.array([run[name] for run in of_runs[method]])
        difference = None
        if method != baseline:
            other = np.mean([run[name] for run in of_runs[baseline]])
            differences = resampled - values[baseline][name]
            difference = _estimate(own.mean() - other, differences, confidence)
            undefined = np.isnan(difference['value'])
            difference['p'] = np.nan if undefined else two_sided_p(differences)
        results[name] = dict(
            _estimate(own.mean(), resampled, confidence),
            sd=float(own.std(ddof=1)) if len(own) > 1 else None,
            undefined=int(np.isnan(resampled).sum()),
            difference=difference,
        )
    return results


def _estimate(
    value: float, resampled: np.ndarray, confidence: float
) -> dict[str, float]:
    """A value and its interval, which is NaN around NaN."""
    if np.isnan(value):
        resampled = np.full_like(resampled, np.nan)
    low, high = percentile_interval(resampled, confidence)
    return dict(value=float(value), low=low, high=high)


def _class_counts(predictions: Predictions) -> list[int]:
    """How many cases are of each class, or have each label."""
    if predictions.is_multilabel:
        return (predictions.truth == 1).sum(axis=0).tolist()
    classes = predictions.scores.shape[1]
    return np.bincount(predictions.truth, minlength=classes).tolist()
