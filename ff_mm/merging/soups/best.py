"""The best ingredient alone, to compare soups with."""

from __future__ import annotations

from collections.abc import Sequence

from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Scorer, Step
from ff_mm.merging.soup import MEAN, Soup
from ff_mm.merging.soups.ranking import ranked, reason


def best(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
) -> Soup:
    """Take the best single ingredient, as grid search does.

    Args:
        ingredients: Ingredients or soups; of equal ones the first is taken.
        scorer: Ranks them.
        name: The name of the soup.
        file: Not needed, since a lone ingredient is read as easily.
        merge: Not needed, since there is nothing to combine.

    Returns:
        A soup of one member.

    Raises:
        FFMMError: As a greedy soup does.
    """
    first, *others = ranked(ingredients, scorer, name)
    top = scorer.score(first)
    steps = [Step(first.name, top, None, True, 'the best one')]
    for other in others:
        score = scorer.score(other)
        steps.append(Step(other.name, score, top, False, reason(score, top, False)))
    for step in steps:
        scorer.report(step)
    return Soup(name, 'best', (first,), top, tuple(steps), tuple(others))
