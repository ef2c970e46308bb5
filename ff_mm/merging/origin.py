"""Whether weights can be those from which the training of ingredients has begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import Values, is_number
from ff_mm.merging.state_dict import is_statistic


@torch.no_grad()
def too_far(
    origin: AnyIngredient, ingredients: Sequence[AnyIngredient]
) -> tuple[float, float] | None:
    """Say if an origin is farther from every ingredient than they are from each other.

    Then it is most likely another file. Ingredients that are all alike, or a single
    one, say nothing.

    Args:
        origin: The weights that may be their origin.
        ingredients: Of the same architecture.

    Returns:
        If so, its distance to the nearest of them, and the largest between two; else
        None.
    """
    count = len(ingredients)
    if count < 2:
        return None
    to_origin = torch.zeros(count, dtype=torch.float64)
    to_first = torch.zeros(count, dtype=torch.float64)
    for rows in _pieces([*ingredients, origin]):
        to_origin += _squares(rows[:-1] - rows[-1])
        to_first += _squares(rows[:-1] - rows[0])
    nearest = to_origin.min()
    if nearest <= to_first.max():
        return None
    pairs = torch.zeros(count * (count - 1) // 2, dtype=torch.float64)
    for rows in _pieces(ingredients):
        pairs += torch.pdist(rows).square_()
    if not 0 < float(pairs.max()) < float(nearest):
        return None
    return float(nearest.sqrt()), float(pairs.max().sqrt())


def _pieces(ingredients: Sequence[AnyIngredient]) -> Iterator[Tensor]:
    """All weights in double precision, a few values at a time; infinite ones are 0."""
    models = [ingredient.in_passing() for ingredient in ingredients]
    for key, like in models[0].items():
        if is_number(like) and not is_statistic(key):
            for rows in Values(models, key).pieces():
                yield rows.nan_to_num_(posinf=0.0, neginf=0.0)


def _squares(differences: Tensor) -> Tensor:
    return differences.square().sum(1)
