"""What identifies a model that was made of others: all that decides its weights.

There is one such identity. By names it tells candidates of one pool apart, by content
(the SHA-256 of files) it is what is kept on disk: of evaluations, of predictions, in
reports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Union

#: Weights are sums that can be made in different orders. So many digits count.
_DIGITS = 12

#: What a model is the weighted sum of: ingredients by name, and merged models.
Part = Union[str, 'Merged']
Recipe = Mapping[Part, float]
Identity = frozenset[tuple[Part, float]]


@dataclass(frozen=True)
class Merged:
    """A model that is no weighted sum of ingredients, as one part of a recipe.

    Attributes:
        method: The merging method, a key of :data:`ff_mm.merging.methods.METHODS`.
        options: Its options, as JSON.
        members: What was merged, and how much of each; sorted where the order does not
            matter.
        supplies: Of what it needs besides (origin, statistics): name and content.
        batch_norm: Whether its batch-norm statistics, or those of a member, mean
            nothing before they are re-estimated.
    """

    method: str
    options: str
    members: tuple[tuple[Identity, float], ...]
    supplies: tuple[tuple[str, str], ...] = ()
    batch_norm: bool = False


def mixed(
    recipes: Iterable[tuple[Recipe, float]], total: float = 1.0
) -> dict[Part, float]:
    """Return the recipe of a weighted sum; what its terms share adds up.

    Args:
        recipes: Of the terms, each with its weight.
        total: What the weights are divided by.
    """
    mixture: dict[Part, float] = {}
    for recipe, weight in recipes:
        for part, share in recipe.items():
            mixture[part] = mixture.get(part, 0.0) + share * weight / total
    return mixture


def identity(recipe: Recipe) -> Identity:
    """Return what equal recipes, and no others, have in common."""
    return frozenset((part, round(weight, _DIGITS)) for part, weight in recipe.items())


def by_content(recipe: Recipe, digests: Mapping[str, str]) -> dict[str, float]:
    """Return a recipe by what its parts are, not by what they are called.

    Args:
        recipe: The recipe.
        digests: Digest by name; ingredients of one digest are one part.

    Returns:
        Weight by digest.
    """
    parts: dict[str, float] = {}
    for part, weight in recipe.items():
        digest = digests[part] if isinstance(part, str) else _digest(part, digests)
        parts[digest] = parts.get(digest, 0.0) + weight
    return parts


def text_of(recipe: Recipe) -> str:
    """Return a text that equal recipes, and no others, have, in every process."""
    return json.dumps(_rounded(by_content(recipe, _ByName())))


class _ByName(dict[str, str]):
    """Digests of ingredients where their names must do."""

    def __missing__(self, name: str) -> str:
        return name


def key_of(kind: str, parts: Mapping[str, float]) -> str:
    """Return what identifies something made with a model, such as its metrics.

    Args:
        kind: What identifies all but the weights, such as images and network.
        parts: The model by content.

    Returns:
        A SHA-256.
    """
    text = json.dumps([kind, _rounded(parts)])
    return hashlib.sha256(text.encode()).hexdigest()


def _rounded(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted((digest, round(weight, _DIGITS)) for digest, weight in parts.items())


def needs_batch_norm(recipe: Recipe) -> bool:
    """Say whether batch norm must be re-estimated before such a model is used."""
    return any(isinstance(part, Merged) and part.batch_norm for part in recipe)


def is_single(recipe: Recipe) -> bool:
    """Say whether a model is one ingredient, as it is."""
    return len(recipe) == 1 and isinstance(next(iter(recipe)), str)


def leaf_weights(recipe: Recipe) -> dict[str, float | None]:
    """Return the weight of each ingredient; None of one that was merged, not added."""
    weights: dict[str, float | None] = {}
    for part, weight in recipe.items():
        if isinstance(part, str):
            # What is also in a merged model has no weight in the whole.
            weights[part] = None if part in weights else weight
        else:
            weights.update(dict.fromkeys(_leaves(part)))
    return weights


def _leaves(part: Part) -> Iterator[str]:
    if isinstance(part, str):
        yield part
        return
    for member, _ in part.members:
        # A set has no order of its own that is the same in the next process.
        yield from sorted({leaf for below, _ in member for leaf in _leaves(below)})


def _digest(merged: Merged, digests: Mapping[str, str]) -> str:
    members = [
        (_rounded(by_content(dict(member), digests)), weight)
        for member, weight in merged.members
    ]
    text = json.dumps([merged.method, merged.options, members, merged.supplies])
    return hashlib.sha256(text.encode()).hexdigest()
