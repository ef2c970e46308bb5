"""The uniform soup: all, as much of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Scorer, Step
from ff_mm.merging.soup import MEAN, Soup, require_distinct_names


def uniform(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
) -> Soup:
    """Make the uniform soup: all ingredients, as much of each.

    Args:
        ingredients: Ingredients or soups.
        scorer: Scores the soup, once, and not at all if a lone ingredient's is known.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.
        merge: How they are combined.

    Returns:
        The soup. Its score may be NaN.

    Raises:
        FFMMError: If there are no ingredients, or two different ones share a name.
    """
    require_distinct_names(ingredients, name)
    soup = Soup(name, 'uniform', tuple(ingredients), merge=merge).written(file)
    score = scorer.score(ingredients[0] if soup.is_its_member else soup)
    step = Step(name, score, None, True, f'{merge.type} of all {len(ingredients)}')
    return replace(soup, score=score, steps=(scorer.report(step),))
