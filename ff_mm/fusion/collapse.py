"""Says so if a soup is far worse than what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ff_mm.merging import Ingredient

# By what part of the best ingredient's score a soup must be worse to be remarked on.
_COLLAPSE = 0.1


def collapse_note(
    report: Mapping[str, Any],
    metric: str,
    greater: bool,
    ingredients: Sequence[Ingredient],
    has_batch_norm: bool,
) -> str | None:
    """Returns a line if a soup is far worse than an ingredient that is in the pool.

    Averaged batch-norm statistics are those of none of the models.

    Args:
        report: That of the soup.
        metric: The one that selects.
        greater: Whether a greater value of it is better.
        ingredients: The pool.
        has_batch_norm: Whether the network has batch norm.
    """
    scores = [i.score for i in ingredients if i.score is not None]
    # A decision may be for another metric than the one that selects.
    plain = (report.get('decision') or {}).get('before', report)
    value = plain['val'].get(metric)
    if not scores or value is None:
        return None
    best = max(scores) if greater else min(scores)
    if (best - value if greater else value - best) <= _COLLAPSE * abs(best):
        return None
    remedy = 'leave some ingredients out, or make a greedy soup'
    if report['bn_reestimation'] is None and has_batch_norm:
        remedy = (
            'averaged batch-norm statistics may be why: try '
            'soup.bn_reestimation="dict(num_samples=2048)", or a greedy soup'
        )
    return (
        f'note: {metric} {value:.4f} of the soup is far from the {best:.4f} '
        f'recorded of the best ingredient; {remedy}'
    )
