"""Linear mode connectivity: the barrier between two models, and basins without any.

Frankle et al., "Linear mode connectivity and the lottery ticket hypothesis", ICML 2020;
Entezari et al., "The role of permutation invariance in linear mode connectivity of
neural networks", ICLR 2022; FissionFusion, appendix B1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from ff_mm.errors import ConfigError
from ff_mm.merging.scorer import Rule

LINKAGES = ('complete', 'average', 'single')


def lambdas(points: int) -> np.ndarray:
    """Returns where a path is looked at: evenly from 0 (B) to 1 (A), both included.

    The path between models A and B is lambda * A + (1 - lambda) * B.

    Args:
        points: How many; 9 in FissionFusion, appendix B1.

    Raises:
        ConfigError: Fewer than three, between whose ends there would be nothing.
    """
    if not isinstance(points, int) or points < 3:
        raise ConfigError(f'points={points!r}: a path needs 3 or more, both ends too')
    return np.linspace(0, 1, points)


def barrier(values: Sequence[float], rule: Rule) -> float:
    """Returns how much worse a path gets than the straight line between its ends.

    This is the barrier of Entezari et al. 2022, equation 1:

        max over lambda of  L(path(lambda)) - (lambda * L(A) + (1 - lambda) * L(B))

    It is never negative, as it is 0 at the ends, and 0 for any loss that is convex
    along the path. Of a metric where more is better it is the drop, in its unit.

    Args:
        values: The loss or metric at :func:`lambdas`.
        rule: Whether a ``'greater'`` or a ``'less'`` value is better.

    Returns:
        The barrier; infinite if a value between the ends is not finite, as of a network
        whose output is not. NaN if one at the ends is not.
    """
    # None is what is not finite becomes in strict JSON.
    path = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    if rule == 'greater':
        path = -path
    if not np.isfinite(path[[0, -1]]).all():
        return float('nan')
    if not np.isfinite(path).all():
        return float('inf')
    height = path - np.linspace(path[0], path[-1], len(path))
    # The ends are 0 by definition, whatever their differences round to.
    return max(0.0, float(height[1:-1].max()))


def barrier_matrix(
    names: Sequence[str], pairs: Iterable[tuple[str, str]], barriers: Iterable[float]
) -> np.ndarray:
    """Returns barriers of pairs as a matrix.

    Args:
        names: Of the models.
        pairs: Names of two.
        barriers: One a pair.

    Returns:
        (models, models), symmetric, 0 on the diagonal, NaN where there is no pair.
    """
    at = {name: i for i, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 0)
    for (a, b), height in zip(pairs, barriers, strict=True):
        matrix[at[a], at[b]] = matrix[at[b], at[a]] = height
    return matrix


def barrier_tree(barriers: np.ndarray, linkage: str = 'complete') -> np.ndarray:
    """Joins models step by step, those with the lowest barrier first.

    Args:
        barriers: Of each pair, (models, models), symmetric, 0 on the diagonal; infinite
            is allowed.
        linkage: The barrier between groups: the highest of all pairs (``'complete'``),
            their mean (``'average'``) or the lowest (``'single'``).

    Returns:
        What :func:`scipy.cluster.hierarchy.linkage` does: (models - 1, 4).

    Raises:
        ConfigError: Another linkage.
        ValueError: The matrix is not as it should be, or a barrier is NaN.
    """
    if linkage not in LINKAGES:
        raise ConfigError(f'linkage={linkage!r}: expected one of {list(LINKAGES)}')
    if np.isnan(barriers).any():
        raise ValueError('a barrier is NaN')
    finite = barriers[np.isfinite(barriers)]
    # Higher than all others, which is what counts, and scipy takes it.
    return hierarchy.linkage(
        squareform(np.minimum(barriers, 10 * finite.max() + 1)), linkage
    )


def basins(
    barriers: np.ndarray,
    threshold: float | None = None,
    count: int | None = None,
    linkage: str = 'complete',
) -> list[int]:
    """Groups models between which there is hardly a barrier.

    With complete linkage no two models of a basin have a barrier above the threshold.

    Args:
        barriers: As :func:`barrier_tree` takes them.
        threshold: The highest barrier at which groups are joined.
        count: How many basins at most, instead.
        linkage: As :func:`barrier_tree` takes it.

    Returns:
        The number of the basin of each model, from 1, in the order in which they occur.

    Raises:
        ConfigError: Neither or both of threshold and count, or one out of range.
    """
    check_basins(threshold, count)
    if len(barriers) == 1:
        return [1]
    # So high that a mean of which it is a part is above all others and the threshold.
    finite = barriers[np.isfinite(barriers)].max()
    beyond = (finite + (threshold or 0) + 1) * len(barriers) ** 2
    steps = barrier_tree(np.where(np.isposinf(barriers), beyond, barriers), linkage)
    if count is None:
        found = hierarchy.fcluster(steps, threshold, 'distance')
    else:
        found = hierarchy.fcluster(steps, count, 'maxclust')
    numbers = {label: n for n, label in enumerate(dict.fromkeys(found.tolist()), 1)}
    return [numbers[label] for label in found.tolist()]


def check_basins(threshold: float | None, count: int | None) -> None:
    """Checks how basins are told apart.

    Raises:
        ConfigError: As :func:`basins`.
    """
    if (threshold is None) == (count is None):
        raise ConfigError(
            'basins: give one of threshold (the highest barrier within a basin) and '
            f'count (how many basins), got threshold={threshold!r} and count={count!r}'
        )
    if threshold is not None and not (_is_number(threshold) and threshold >= 0):
        raise ConfigError(f'basins.threshold={threshold!r}: expected 0 or more')
    if count is not None and not (isinstance(count, int) and count >= 1):
        raise ConfigError(f'basins.count={count!r}: expected a whole number from 1')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
