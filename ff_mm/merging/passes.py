"""How many passes a soup takes at most, before any is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ff_mm.merging.hierarchical import Level, groups_of
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.recipe import Recipe
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups.learned import LearnedOptions


@dataclass
class Passes:
    """Passes over validation that choose a soup, at most.

    Attributes:
        own: Of ingredients alone.
        merged: Of models that are merged of several.
        predictions: In which what models say of each case is looked at.
        gradients: Of the loss, each a pass forward and one back.
        reads: How many models are read from files for all of these.
        soups: How many soups of several members are made below the top.
        unknown: Soups of which nothing of that is known.
    """

    own: int = 0
    merged: int = 0
    predictions: int = 0
    gradients: int = 0
    reads: int = 0
    soups: int = 0
    unknown: list[str] = field(default_factory=list)

    @property
    def forward(self) -> int:
        """All passes without a way back."""
        return self.own + self.merged + self.predictions


def passes_at_most(
    ingredients: Sequence[AnyIngredient],
    levels: Sequence[Level],
    is_known: Callable[[Recipe], bool],
) -> tuple[Passes, list[AnyIngredient]]:
    """Count what levels need if each member is kept that can be.

    Args:
        ingredients: Ingredients, of distinct names.
        levels: From the bottom to the top, their merges supplied.
        is_known: Says of a recipe whether its score need not be evaluated; asked but
            once of each that is counted.

    Returns:
        The passes, and what the last level leaves.

    Raises:
        ConfigError: An ingredient lacks a hyper-parameter that a level groups by.
    """
    total = Passes()
    current = list(ingredients)
    for number, level in enumerate(levels, 1):
        made: list[AnyIngredient] = []
        for label, members in groups_of(current, level, number):
            _add(total, level, members, number == 1, is_known)
            total.soups += number < len(levels) and len(members) > 1
            made.append(Soup(label, level.which.type, tuple(members), merge=level.how))
        current = made
    return total, current


def _add(
    total: Passes,
    level: Level,
    members: list[AnyIngredient],
    lowest: bool,
    is_known: Callable[[Recipe], bool],
) -> None:
    """Count the soup of one group."""
    kind, number, variants = level.which.type, len(members), len(level.variants)

    def score_each() -> None:
        # What comes of a lower level has its score already.
        new = sum(not is_known(m.recipe) for m in members) if lowest else 0
        total.own += new
        total.reads += new

    def merge(times: int, reads: int) -> None:
        total.merged += times
        total.reads += times * reads

    if kind == 'best' or number == 1:
        score_each()
    elif kind == 'uniform':
        soup = Soup('', kind, tuple(members), merge=level.variants[0])
        known = lowest and variants == 1 and is_known(soup.recipe)
        merge(0 if known else variants, number)
    elif kind == 'greedy':
        score_each()
        merge(variants * (number - 1), 1)
        total.reads += variants * number  # once more for what is kept
    elif kind == 'pruned':
        score_each()
        merge(variants * number * (number + 1) // 2, number)
    elif kind == 'ensemble_selection':
        total.predictions += number
        total.reads += number
        merge(variants, number)
    elif kind == 'learned':
        options = LearnedOptions(**level.which.options)
        steps = len(options.cuts) * (options.steps + 1) if options.steps else 0
        total.gradients += steps
        # To mix, and for the inner product with each.
        total.reads += 2 * number * steps
        merge(1, number)
    else:
        total.unknown.append(kind)
    if level.has_margin:  # of what is better, and of what there was
        tried = number - 1 if kind == 'greedy' else number * (number + 1) // 2
        total.predictions += variants * (tried + 1) * (number > 1)
