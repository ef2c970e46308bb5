"""A model that is to be looked at: by what it is called, made of, and loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ff_mm.merging.recipe import Recipe
from ff_mm.merging.state_dict import StateDict


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model made of ingredients that is to be scored.

    Attributes:
        name: How to call it in messages.
        recipe: What identifies its weights: equal recipes are equal weights.
        load: ``load(out=None)`` makes the weights, the same at each call. Without
            ``out`` they come in tensors that are the caller's to keep but not to
            change; with ``out``, a state dict of the same keys, shapes and dtypes on
            any device and of any strides, they are written into its tensors, and it
            is returned.
    """

    name: str
    recipe: Recipe
    load: Callable[..., StateDict]
