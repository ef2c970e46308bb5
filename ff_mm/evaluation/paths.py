"""Evaluates the straight paths between pairs of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.merging import Candidate
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.weight_space.affine import point
from ff_mm.weight_space.connectivity import lambdas

# What is evaluated along a path, from B (lambda = 0) to A (lambda = 1).
PathMetrics = list[dict[str, Any]]


def evaluate_paths(
    evaluator: CandidateEvaluator,
    ingredients: Mapping[str, AnyIngredient],
    pairs: Sequence[tuple[str, str]],
    points: int,
    split: str = 'val',
    needed: Sequence[str] = (),
) -> list[PathMetrics]:
    """Evaluates lambda * A + (1 - lambda) * B of pairs of models A and B.

    Args:
        evaluator: Makes the passes.
        ingredients: The models by name.
        pairs: Names of A and B.
        points: How many to a path, see :func:`ff_mm.weight_space.connectivity.lambdas`.
        split: The set.
        needed: Metrics that are going to be looked at.

    Returns:
        Of each pair, the metrics at each lambda. At the ends they are those of the
        models themselves, each of which is evaluated once.
    """
    ends = list(dict.fromkeys(name for pair in pairs for name in pair))
    alone = [point(ingredients, {name: 1.0}, name) for name in ends]
    inner = [
        _between(ingredients, a, b, share)
        for a, b in pairs
        for share in lambdas(points)[1:-1].tolist()
    ]
    found = evaluator.evaluate([*alone, *inner], split, f'paths on {split}', needed)
    of_end = dict(zip(ends, found, strict=False))
    between = iter(found[len(ends) :])
    return [
        [of_end[b], *(next(between) for _ in range(points - 2)), of_end[a]]
        for a, b in pairs
    ]


def _between(
    ingredients: Mapping[str, AnyIngredient], a: str, b: str, share: float
) -> Candidate:
    name = f'{share:.4g} of {a} and {1 - share:.4g} of {b}'
    return point(ingredients, {a: share, b: 1 - share}, name)
