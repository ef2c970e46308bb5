"""Random directions from a model, as long in each filter as the model itself.

Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018, section 4.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.scorer import Candidate
from ff_mm.merging.state_dict import StateDict


class FilterNormalizedDirection:
    """A random direction whose filters have the norms of a model's.

    Each filter (of a layer of more than one dimension what belongs to one output) is
    drawn from a normal distribution and scaled to the norm of the model's filter.
    Biases, batch norm and its statistics stay as they are, as in the code of Li et al.
    by default: of these a network's output may depend on without bounds.

    Args:
        centre: The model.
        seed: Of the random numbers; the same seed gives the same direction.
        parameters: Names of what is trained; a network may have tables besides. None:
            all entries.
    """

    def __init__(
        self,
        centre: AnyIngredient,
        seed: int,
        parameters: Collection[str] | None = None,
    ) -> None:
        self.centre = centre
        self.seed = seed
        self._parameters = parameters

    @property
    def name(self) -> str:
        """What to call it in recipes."""
        return f'filter-normalized direction of seed {self.seed} at {self.centre.name}'

    @cached_property
    def weights(self) -> StateDict:
        """The direction: of the entries along which it goes; in memory once used."""
        random = torch.Generator().manual_seed(self.seed)
        trained = self._parameters
        return {
            key: _scaled(torch.randn(weight.shape, generator=random), weight)
            for key, weight in self.centre.load().items()
            if weight.is_floating_point() and weight.ndim > 1
            if trained is None or key in trained
        }


def step(
    directions: Sequence[FilterNormalizedDirection], lengths: Sequence[float]
) -> Candidate:
    """Describes the point so far along directions from the model at their centre.

    Args:
        directions: One or more, of one centre.
        lengths: How far along each; 1 is as far as the model's filters are long.
    """
    centre = directions[0].centre
    terms = [(d, x) for d, x in zip(directions, lengths, strict=True) if x != 0]
    recipe: dict[Any, float] = {**centre.recipe}
    recipe.update({d.name: float(x) for d, x in terms})
    return Candidate(centre.name, recipe, partial(_load, centre, terms))


@torch.no_grad()
def _load(
    centre: AnyIngredient,
    terms: Sequence[tuple[FilterNormalizedDirection, float]],
    out: StateDict | None = None,
) -> StateDict:
    if out is None:
        out = {key: value.clone() for key, value in centre.load().items()}
    else:
        centre.load(out)
    for direction, length in terms:
        for key, value in direction.weights.items():
            out[key].add_(value.to(out[key]), alpha=length)
    return out


def _scaled(random: Tensor, weight: Tensor) -> Tensor:
    """Gives each filter of a random tensor the norm of the model's."""
    filters = tuple(range(1, weight.ndim))
    norm = weight.float().pow(2).sum(filters, keepdim=True).sqrt()
    own = random.pow(2).sum(filters, keepdim=True).sqrt()
    # Where weights are infinite, such as a mask's, there is nowhere to go.
    return random * torch.where(norm.isfinite(), norm / own, 0)
