"""How many evaluations the published plan takes: 8 learning rates, 6 models each."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.merging import Ingredient, Scorer, gog, gou, hierarchical

GROUPS, MEMBERS = 8, 6
scores = st.integers(0, 20).map(lambda number: number / 20)


def pool(known):
    weights = dict(w=torch.zeros(1))
    return [
        Ingredient(
            f'{group}.{member}',
            lambda: weights,
            hyper=dict(lr=group),
            score=known[group * MEMBERS + member],
        )
        for group in range(GROUPS)
        for member in range(MEMBERS)
    ]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(scores, min_size=48, max_size=48),
    st.lists(scores, min_size=62, max_size=62),
)
def test_gou_and_gog_of_48_models_take_62_evaluations_at_most(known, outcomes):
    outcomes = iter(outcomes)
    taken = {}
    for method in (gou, gog):
        scorer = Scorer(lambda candidate, to_beat: next(outcomes))
        hierarchical(pool(known), method('lr'), scorer)
        taken[method] = scorer.evaluations
    # Local soups and candidates at the top; five candidates a group, and those.
    assert taken[gou] <= 8 + 7
    assert taken[gog] <= 8 * 5 + 7
