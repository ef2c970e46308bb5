"""What soups that choose by scores have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ff_mm.errors import FFMMError
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.scorer import Scorer
from ff_mm.merging.soup import require_distinct_names


def ranked(
    ingredients: Sequence[AnyIngredient], scorer: Scorer, name: str
) -> list[AnyIngredient]:
    """Check the ingredients and sort them, best first."""
    require_distinct_names(ingredients, name)
    found = scorer.order(ingredients)
    if math.isnan(scorer.score(found[0])):
        raise nothing_but_nan(found, name)
    return found


def nothing_but_nan(ingredients: Sequence[AnyIngredient], name: str) -> FFMMError:
    """Return the error of a soup of which nothing can be used."""
    names = ', '.join(ingredient.name for ingredient in ingredients)
    return FFMMError(f'soup {name!r}: the score of every ingredient is NaN: {names}')


def reason(score: float, best: float, accepted: bool) -> str:
    """Say why a candidate was kept or left out."""
    if math.isnan(score):
        return 'the score is NaN'
    if score == best:
        return 'a tie, accepted' if accepted else 'a tie, not better'
    return 'better' if accepted else 'worse'
