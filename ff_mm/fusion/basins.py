"""Basins of a pool: ingredients between which there is hardly a barrier.

It goes beyond the paper, where groups are of one learning rate: a pool of which nobody
knows how it was trained can be souped by basin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.paths import evaluate_paths
from ff_mm.merging import Ingredient
from ff_mm.merging.scorer import Rule
from ff_mm.weight_space.connectivity import (
    LINKAGES,
    barrier,
    barrier_matrix,
    basins,
    check_basins,
    lambdas,
)

#: What levels group by.
KEY = 'basin'


@dataclass(frozen=True)
class BasinOptions:
    """The values of a config's ``soup.basins``.

    Attributes:
        threshold: The highest barrier within a basin, in the unit of the metric.
        count: How many basins at most, instead of a threshold.
        metric: Of which the barrier is; None: the loss, which tells more than the
            metrics of few cases, or the metric that selects if there is no loss.
        points: Where each path is evaluated, both ends included. A barrier is nearly
            always highest near the middle, so 3 is mostly enough; 9 take seven times as
            long.
        linkage: What the barrier between two groups is, see
            :func:`ff_mm.weight_space.connectivity.barrier_tree`.
    """

    threshold: float | None = None
    count: int | None = None
    metric: str | None = None
    points: int = 3
    linkage: str = 'complete'

    def __post_init__(self) -> None:
        check_basins(self.threshold, self.count)
        lambdas(self.points)
        if self.linkage not in LINKAGES:
            raise ConfigError(
                f'basins.linkage={self.linkage!r}: expected one of {list(LINKAGES)}'
            )

    def barrier_metric(self, selection: str, has_loss: bool) -> str:
        """Returns the metric of which the barrier is.

        Args:
            selection: The one that selects.
            has_loss: Whether validation gives a loss.
        """
        return self.metric or ('loss' if has_loss else selection)


@dataclass(frozen=True)
class Basins:
    """What was found.

    Attributes:
        ingredients: With their basin among the hyper-parameters.
        barriers: Of each pair, in the order of the ingredients.
        metric: Of which they are.
        options: How they were told apart.
    """

    ingredients: list[Ingredient]
    barriers: np.ndarray
    metric: str
    options: BasinOptions

    @property
    def passes(self) -> int:
        """How many points between ingredients it took."""
        number = len(self.ingredients)
        return (self.options.points - 2) * number * (number - 1) // 2

    @property
    def members(self) -> dict[int, list[str]]:
        """Names of the ingredients by the number of the basin."""
        members: dict[int, list[str]] = {}
        for ingredient in self.ingredients:
            members.setdefault(ingredient.hyper[KEY], []).append(ingredient.name)
        return members

    def describe(self) -> dict[str, Any]:
        """Returns them for a report."""
        return dict(
            metric=self.metric,
            threshold=self.options.threshold,
            count=self.options.count,
            points=self.options.points,
            linkage=self.options.linkage,
            names=[ingredient.name for ingredient in self.ingredients],
            barriers=self.barriers.tolist(),
            members={str(number): names for number, names in self.members.items()},
        )


def find_basins(
    evaluator: CandidateEvaluator,
    ingredients: Sequence[Ingredient],
    options: BasinOptions,
    metric: str,
    rule: Rule,
) -> Basins:
    """Measures the barriers between all pairs on validation, and groups by them.

    Args:
        evaluator: Makes the passes: (points - 2) for each pair.
        ingredients: The pool.
        options: How.
        metric: Of which the barrier is.
        rule: Whether a ``'greater'`` or a ``'less'`` value of it is better.

    Raises:
        ConfigError: An ingredient that has a hyper-parameter of that name already.
    """
    if named := [i.name for i in ingredients if KEY in i.hyper]:
        raise ConfigError(
            f'{named[0]} has a hyper-parameter {KEY!r} of its own, which soup.basins '
            'would hide: leave the one or the other out'
        )
    by_name: Mapping[str, Ingredient] = {i.name: i for i in ingredients}
    pairs = list(combinations(by_name, 2))
    paths = evaluate_paths(evaluator, by_name, pairs, options.points, needed=[metric])
    heights = [barrier([m[metric] for m in path], rule) for path in paths]
    # Whoever has no value of its own is connected to nobody.
    heights = [math.inf if math.isnan(height) else height for height in heights]
    matrix = barrier_matrix(list(by_name), pairs, heights)
    numbers = basins(matrix, options.threshold, options.count, options.linkage)
    return Basins(
        [
            replace(i, hyper={**i.hyper, KEY: number})
            for i, number in zip(ingredients, numbers, strict=True)
        ],
        matrix,
        metric,
        options,
    )
