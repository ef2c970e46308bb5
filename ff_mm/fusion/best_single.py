"""The best single model of a pool, which is what a soup has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.merging.candidate import Candidate
from ff_mm.merging.ingredient import Ingredient


def best_single(
    ingredients: Sequence[Ingredient], candidates: CandidateEvaluator
) -> dict[str, Any] | None:
    """Evaluates the ingredient that is best on validation on every other set.

    No pass over validation is made for it.

    Args:
        ingredients: All of the pool.
        candidates: What has evaluated them; all processes call this.

    Returns:
        ``name``, and ``val``, ``test`` and ``ood`` as a report has them; None: the
        validation metric of an ingredient is not known.
    """
    scores = [candidates.recall(each.recipe) for each in ingredients]
    known = [score for score in scores if isinstance(score, int | float)]
    if len(known) < len(ingredients):
        return None
    choose = max if candidates.selection.rule == 'greater' else min
    best = ingredients[known.index(choose(known))]  # of equal ones the first
    results = candidates.evaluate_all(Candidate(best.name, best.recipe, best.load))
    return dict(name=best.name, **results)
