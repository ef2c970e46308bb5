"""What a method costs: to train its pool, to select from it, and at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

Cost = dict[str, float]


def selection_cost(report: Mapping[str, Any] | None) -> Cost:
    """Returns what a soup took to choose.

    Args:
        report: The soup's ``report.json``; None: nothing was chosen.

    Returns:
        ``passes`` over validation that the method needs by itself, those included that
        another soup had made before; ``images`` that went through the network and
        ``seconds`` that it took as it was.
    """
    if report is None:
        return dict(seconds=0.0, passes=0, images=0)
    spent = report['evaluations']
    return dict(
        seconds=report['seconds'],
        passes=spent['selection'] + spent['remembered'] + spent.get('basins', 0),
        images=spent['images']['val'],
    )


def mean_cost(costs: Sequence[Mapping[str, float] | None]) -> Cost | None:
    """Returns the mean over runs of what is known of all of them.

    Args:
        costs: One a run; None where nothing is known.

    Returns:
        None if a run's cost is not known.
    """
    if any(cost is None for cost in costs):
        return None
    known = [key for key in costs[0] if all(key in cost for cost in costs)]
    return {key: fmean(cost[key] for cost in costs) for key in known}
