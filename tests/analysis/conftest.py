"""Reports of real soups, whose scores are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ff_mm.evaluation.evaluation_set import EvaluationSet
from ff_mm.merging import (
    Ingredient,
    Level,
    NoBetterThan,
    Scorer,
    hierarchical,
    tree,
)


class Passes(list):
    """The sets that were passed over; KeyboardInterrupt at pass ``stop_at``, if set."""

    stop_at: int | None = None


@pytest.fixture
def passes(monkeypatch) -> Passes:
    """Of this test, an entry a pass."""
    made, plain = Passes(), EvaluationSet._pass

    def count(self: EvaluationSet, *args: Any) -> Any:
        made.append(self.name)
        if len(made) == made.stop_at:
            raise KeyboardInterrupt
        return plain(self, *args)

    monkeypatch.setattr(EvaluationSet, '_pass', count)
    return made


@pytest.fixture(scope='session')
def soup_report() -> Callable[..., dict[str, Any]]:
    """A function that makes a soup, and returns what the tree needs of its report.

    Args of it: ingredients as ``name -> (score or None, hyper)``; levels as
    ``(soup, group_by)``; scores of what is tried, by the names in it, else their mean;
    bounds of evaluations that are stopped, in the same way.
    """

    def make(
        ingredients: dict[str, tuple[float | None, dict]],
        levels: list[tuple[str, Any]],
        scores: dict[str, float] | None = None,
        bounds: dict[str, float] | None = None,
        rule: str = 'greater',
        accept_ties: bool = False,
        **changes: Any,
    ) -> dict[str, Any]:
        def score(candidate: Any, to_beat: float | None) -> float | NoBetterThan:
            names = ' '.join(sorted(candidate.recipe))
            if names in (bounds or {}) and to_beat is not None:
                return NoBetterThan(bounds[names])
            mean = sum(
                (ingredients[name][0] or 0.5) * weight
                for name, weight in candidate.recipe.items()
            )
            return (scores or {}).get(names, mean)

        made = hierarchical(
            [
                Ingredient(name, lambda: {'w': torch.ones(1)}, hyper, known)
                for name, (known, hyper) in ingredients.items()
            ],
            [Level(*level) for level in levels],
            Scorer(score, rule, accept_ties),
            name='soup',
        )
        report = dict(
            format=1,
            title='GoG',
            metric='accuracy',
            rule=rule,
            levels=[dict(soup=soup, group_by=keys) for soup, keys in levels],
            tree=tree(made),
            bn_reestimation=None,
        )
        return json.loads(json.dumps(report | changes))

    return make
