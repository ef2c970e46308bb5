"""A dry run of a config's metrics: what they give, before any training.

A misspelled metric, one that the labels of the validation set leave undefined, or one
whose worst value would be taken for its best would else come out hours later. Metrics
need neither images nor a model for that: they are shown the truth with predictions
that are made up.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from ff_mm.datasets.checks.truth import meta_of, says_cases
from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.metrics.offline import (
    build_metrics,
    compute,
    process,
    silence,
)
from ff_mm.evaluation.metrics.prediction_metrics import overall_floats
from ff_mm.merging.scorer import Rule
from ff_mm.tasks.base import Task

# Of more, so many that lie evenly among them: it is to take less than a second.
CASES_AT_MOST = 3000


@dataclass(frozen=True)
class DryRun:
    """Names and values of all metrics, for two made-up models.

    Attributes:
        chance: Of random predictions.
        perfect: Of predictions that are the truth.
        of_all: Whether all cases were shown; some labels may occur in the others only.
    """

    chance: Mapping[str, Any]
    perfect: Mapping[str, Any]
    of_all: bool = True

    def check(self, metric: str, rule: str, where: str) -> None:
        """Checks that a metric can tell good models from bad ones.

        Args:
            metric: Its name among the validation metrics.
            rule: ``'greater'`` or ``'less'``: which value is taken for the better one.
            where: The config's name for the metric, for the error.

        Raises:
            ConfigError: There is no such metric, it is no number, it is NaN whatever
                is predicted, or the rule prefers the worse.
        """
        chosen = f'{where}={metric!r}'
        if metric not in self.perfect:
            close = difflib.get_close_matches(str(metric), self.perfect, n=1)
            hint = f' (did you mean {close[0]!r}?)' if close else ''
            raise ConfigError(
                f'{chosen} is not among the validation metrics '
                f'{sorted(self.perfect)}{hint}: change it, or add it to val_evaluator'
            )
        chance, perfect = self.chance[metric], self.perfect[metric]
        if not (isinstance(chance, Real) and isinstance(perfect, Real)):
            raise ConfigError(f'{chosen} is no number: choose one of the others')
        if self.of_all and math.isnan(chance) and math.isnan(perfect):
            raise ConfigError(
                f'{chosen} is NaN on the validation set, whatever is predicted, such '
                'as where a label is never present or never absent: choose another '
                'metric, or a validation set that has both'
            )
        _check_rule(chosen, rule, float(chance), float(perfect))

    def check_overall(self, metric: str, where: str) -> None:
        """Checks that resamples have a metric, which those of single classes lack.

        Raises:
            ConfigError: They have not.
        """
        known = list(overall_floats(self.perfect))
        if metric not in known:
            raise ConfigError(
                f'{where}: selection.metric={metric!r} cannot be resampled; choose one '
                f'of {sorted(known)}, or leave the margin out'
            )

    def has_such(self, metrics: Mapping[str, Any]) -> bool:
        """Says whether recorded metrics are all here, numbers and tables as such.

        Args:
            metrics: Plain values; None is what is not finite.
        """
        try:
            return all(
                name in metrics and np.shape(metrics[name]) == tuple(np.shape(value))
                for name, value in self.perfect.items()
            )
        except ValueError:  # rows of different lengths
            return False

    def rule(self, metric: str) -> Rule:
        """Says whether a ``'greater'`` or a ``'less'`` value of a metric is better.

        Raises:
            ConfigError: There is no such metric, or it is no number.
        """
        chance, perfect = self.chance.get(metric), self.perfect.get(metric)
        rule: Rule = 'greater'
        if isinstance(chance, Real) and isinstance(perfect, Real):
            rule = 'less' if float(perfect) < float(chance) else 'greater'
        self.check(metric, rule, 'metrics')
        return rule


def _check_rule(chosen: str, rule: str, chance: float, perfect: float) -> None:
    if rule not in ('greater', 'less'):
        raise ConfigError(f"{chosen}: rule={rule!r}: expected 'greater' or 'less'")
    wrong = perfect < chance if rule == 'greater' else perfect > chance
    if wrong:
        right = 'less' if rule == 'greater' else 'greater'
        raise ConfigError(
            f'{chosen}: rule={rule!r} would take the worst for the best: it is '
            f'{perfect:.4g} where all predictions are right and {chance:.4g} by '
            f'chance; set rule={right!r}'
        )


def dry_run(
    evaluator: Any, dataset: BaseDataset, task: Task, model: Mapping[str, Any]
) -> DryRun | None:
    """Evaluates two made-up models on the truth of a data set.

    Args:
        evaluator: The config of one metric, of a list of them, or of an evaluator that
            has such a list as ``metrics``.
        dataset: The validation set; no image is read.
        task: Makes the predictions up.
        model: The config of the model.

    Returns:
        What came out; None where that cannot be known without a model: nobody knows
        what it says of a case, or a metric of others asks for more than that.

    Raises:
        ConfigError: A metric that cannot be built.
        FFMMError: A metric of ff_mm that does not go with the truth.
    """
    infos = _some_infos(dataset)
    try:
        made_up = task.made_up(model, dataset, infos)
        if made_up is None:
            return None
        with silence():
            return DryRun(
                chance=_evaluate(evaluator, dataset, made_up.chance),
                perfect=_evaluate(evaluator, dataset, made_up.perfect),
                of_all=len(made_up.perfect) == len(dataset),
            )
    except FFMMError:
        raise
    except Exception:
        # Whatever a metric of others needs besides, a model may give it.
        return None


def _some_infos(dataset: BaseDataset) -> list[dict[str, Any]]:
    """What is known of the cases; of many, of so many that lie evenly among them."""
    if not says_cases(dataset):
        return []
    shown = min(len(dataset), CASES_AT_MOST)
    numbers = (index * len(dataset) // shown for index in range(shown))
    return [dataset.get_data_info(number) for number in numbers]


def _evaluate(
    evaluator: Any, dataset: BaseDataset, samples: list[dict[str, Any]]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in build_metrics(evaluator, meta_of(dataset)):
        found.update(compute(metric, process(metric, samples)))
    return found
