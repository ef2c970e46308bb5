"""Points on lines and planes through models: affine combinations of their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial, reduce

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.mean import MeanSoFar
from ff_mm.merging.recipe import mixed
from ff_mm.merging.scorer import Candidate
from ff_mm.merging.state_dict import StateDict

# Of a sum of coefficients that is 1 but for rounding; of a coefficient that is nothing.
_TOLERANCE, _NOTHING = 1e-9, 1e-12
# What is no variance any more if it is extrapolated below zero.
_VARIANCE = 'running_var'


def point(
    ingredients: Mapping[str, AnyIngredient],
    coefficients: Mapping[str, float],
    name: str = '',
) -> Candidate:
    """Describes a point by its coefficients; nothing is read until it is loaded.

    Equal points have equal recipes, and the mean of two ingredients that of their soup.

    Args:
        ingredients: Models by name.
        coefficients: Of some of them, any sign; they add up to 1.
        name: How to call it in messages.

    Raises:
        ValueError: If they add up to something else.
    """
    total = math.fsum(coefficients.values())
    if abs(total - 1) > _TOLERANCE:
        raise ValueError(f'point {name!r}: its coefficients add up to {total}, not 1')
    terms = [(ingredients[key], c) for key, c in coefficients.items()]
    terms = [(ingredient, c) for ingredient, c in terms if abs(c) > _NOTHING]
    recipe = mixed((ingredient.recipe, c) for ingredient, c in terms)
    return Candidate(name, recipe, partial(_load, terms))


def _load(
    terms: list[tuple[AnyIngredient, float]], out: StateDict | None = None
) -> StateDict:
    if len(terms) == 1:
        return terms[0][0].load(out)
    mean = MeanSoFar()
    # Positive ones first, so that their sum stays positive.
    for ingredient, coefficient in sorted(terms, key=lambda term: -term[1]):
        mean.add(ingredient, coefficient)
    weights = mean.pop(out)
    if any(coefficient < 0 for _, coefficient in terms):
        _keep_possible(weights, [ingredient for ingredient, _ in terms])
    return weights


@torch.no_grad()
def _keep_possible(weights: StateDict, ingredients: list[AnyIngredient]) -> None:
    """Mends what makes no sense beyond the models, so that no output is NaN for that.

    Variances of batch norm, which would become negative, are no less than the least of
    the models' own. What is infinite, such as a mask, stays as in the first one.
    """
    models = [ingredient.load() for ingredient in ingredients]
    for key, value in weights.items():
        first = models[0][key].to(value.device)
        if value.is_floating_point() and not (finite := first.isfinite()).all():
            value.copy_(torch.where(finite, value, first))
        if key.rpartition('.')[2] == _VARIANCE:
            least: Tensor = reduce(torch.minimum, [model[key] for model in models])
            value.copy_(torch.maximum(value, least.to(value.device)))
