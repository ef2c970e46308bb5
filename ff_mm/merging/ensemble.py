"""An ensemble: members whose predictions are averaged, and not their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ff_mm.merging.hierarchical import tree
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.recipe import (
    Merged,
    Recipe,
    identity,
    leaf_weights,
    mixed,
    needs_batch_norm,
)
from ff_mm.merging.scorer import Scorer, Step
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups.ensemble_selection import (
    EnsembleSelectionOptions,
    choose_ensemble,
)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Several models that are asked together.

    Attributes:
        name: How it is called.
        members: Ingredients, or soups.
        weights: How much the predictions of each count; they sum to 1.
        average: What of predictions is averaged: ``'probabilities'`` or ``'logits'``.
        score: Its validation metric; None: it was not looked at.
        steps: The decisions that led to it.
        rejected: What was considered and left out.
    """

    name: str
    members: tuple[AnyIngredient, ...]
    weights: tuple[float, ...]
    average: str
    score: float | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[AnyIngredient, ...] = ()

    @classmethod
    def of_all(
        cls, members: Sequence[AnyIngredient], name: str, average: str
    ) -> Ensemble:
        """Returns the ensemble in which all count alike.

        Args:
            members: Ingredients or soups, of distinct names.
            name: The name of the ensemble.
            average: As the attribute.
        """
        weights = (1 / len(members),) * len(members)
        return cls(name, tuple(members), weights, average)

    @classmethod
    def selected(
        cls,
        candidates: Sequence[AnyIngredient],
        scorer: Scorer,
        name: str,
        options: EnsembleSelectionOptions,
    ) -> Ensemble:
        """Returns the ensemble that ensemble selection chooses, best member first.

        Args:
            candidates: Ingredients or soups, of distinct names.
            scorer: Has ``ensembles``.
            name: The name of the ensemble.
            options: Those of the selection.

        Raises:
            FFMMError: All of them score NaN.
        """
        chosen = choose_ensemble(candidates, scorer, name, options)
        total = sum(count for _, count in chosen.counts)
        return cls(
            name,
            tuple(member for member, count in chosen.counts if count),
            tuple(count / total for _, count in chosen.counts if count),
            options.average,
            chosen.score,
            tuple(chosen.steps),
            tuple(member for member, count in chosen.counts if not count),
        )

    @property
    def recipe(self) -> Recipe:
        """What identifies it; it is no weighted sum of what its members are of."""
        each = zip(self.members, self.weights, strict=True)
        return {
            Merged(
                'ensemble',
                json.dumps(dict(average=self.average)),
                tuple((identity(member.recipe), weight) for member, weight in each),
                batch_norm=any(needs_batch_norm(m.recipe) for m in self.members),
            ): 1.0
        }

    @property
    def of_leaves(self) -> dict[str, float | None]:
        """How much each ingredient counts; None of one that was merged, not added."""
        each = zip(self.members, self.weights, strict=True)
        return leaf_weights(mixed((member.recipe, weight) for member, weight in each))

    def load(self) -> list[Mapping[str, Tensor]]:
        """Returns the weights of each member.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        return [member.load() for member in self.members]

    def tree(self) -> dict[str, Any]:
        """Describes it for a report, see :func:`ff_mm.merging.hierarchical.tree`."""
        weights = self.weights if len(set(self.weights)) > 1 else None
        return tree(
            Soup(
                self.name,
                'ensemble',
                self.members,
                self.score,
                self.steps,
                self.rejected,
                weights=weights,
            )
        )
