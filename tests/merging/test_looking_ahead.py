"""Candidates that are evaluated ahead of need, several at once, decide nothing."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.errors import FFMMError
from ff_mm.merging import (
    Candidate,
    Ingredient,
    Level,
    NoBetterThan,
    Scorer,
    gog,
    gou,
    hierarchical,
    tree,
)

LEVELS = dict(
    greedy=[Level('greedy')],
    best=[Level('best')],
    pruned=[Level('pruned')],
    gog=gog(),
    gou=gou(),
    three=[Level('uniform', ['lr', 'seed']), Level('greedy', 'lr'), Level('greedy')],
)


def pool(generator, number):
    """Ingredients of which about half have known scores, some of them NaN."""
    found = []
    for i in range(number):
        weights = {'w': torch.tensor([generator.random(), generator.random()])}
        score = generator.choice([None, None, 0.1, 0.2, 0.3, 0.3, math.nan])
        hyper = dict(lr=generator.randrange(3), seed=generator.randrange(2))
        found.append(Ingredient(f'm{i}', lambda w=weights: dict(w), hyper, score))
    return found


class Scores:
    """Scores that depend on the recipe alone: few values, so that many are equal.

    What cannot improve is sometimes only bounded; NaN comes up now and then.
    """

    def __init__(self, seed, rule, accept_ties, at_once, prefix=False):
        self.seed, self.prefix = seed, prefix
        self.calls = []
        many = self.many if at_once else None
        self.scorer = Scorer(
            self.one, rule, accept_ties, score_many=many, at_once=at_once
        )

    def one(self, candidate, to_beat):
        self.calls.append(1)
        return self.outcome(candidate, to_beat)

    def many(self, candidates, to_beat):
        kept = candidates
        if self.prefix:
            kept = candidates[: self.chance(candidates[0]).randint(1, len(candidates))]
        self.calls.append(len(kept))
        return [self.outcome(candidate, to_beat) for candidate in kept]

    def chance(self, candidate):
        recipe = sorted((n, round(w, 9)) for n, w in candidate.recipe.items())
        return random.Random(f'{self.seed} {recipe}')

    def outcome(self, candidate, to_beat):
        assert torch.isfinite(candidate.load()['w']).all()
        chance = self.chance(candidate)
        score = chance.choice([0.1, 0.2, 0.3, 0.4, 0.5, math.nan])
        if to_beat is None or math.isnan(score) or chance.random() < 0.5:
            return score
        improves = self.scorer.improves(score, to_beat)
        return score if improves else NoBetterThan(score)


def make(scores, seed, number, levels):
    """A soup, as far as it can be told; or the error that there was."""
    ingredients = pool(random.Random(seed), number)
    try:
        soup = hierarchical(ingredients, levels, scores.scorer)
    except FFMMError as error:
        return str(error), None
    return tree(soup), soup.load()['w']


cases = given(
    seed=st.integers(0, 10**6),
    number=st.integers(1, 9),
    rule=st.sampled_from(['greater', 'less']),
    accept_ties=st.booleans(),
    levels=st.sampled_from(list(LEVELS)),
    at_once=st.integers(1, 5),
    prefix=st.booleans(),
)


@settings(max_examples=300, deadline=None)
@cases
def test_soups_are_the_same_however_many_are_evaluated_at_once(
    seed, number, rule, accept_ties, levels, at_once, prefix
):
    usual = Scores(seed, rule, accept_ties, 0)
    ahead = Scores(seed, rule, accept_ties, at_once, prefix)
    expected, weights = make(usual, seed, number, LEVELS[levels])
    found, same_weights = make(ahead, seed, number, LEVELS[levels])
    assert repr(found) == repr(expected)  # NaN is equal to itself
    if weights is None:
        return
    assert torch.equal(weights, same_weights)
    spent, needed = ahead.scorer.evaluations, usual.scorer.evaluations
    assert spent == sum(ahead.calls)
    assert spent - len(ahead.scorer.in_vain) == needed
    # Each call has at least one that was needed, so it takes no longer than one by one.
    assert len(ahead.calls) <= needed
    assert max(ahead.calls, default=0) <= at_once
    assert usual.scorer.in_vain == []


def ingredients(*scores):
    weights = {'w': torch.zeros(1)}
    return [
        Ingredient(f'm{i}', lambda: weights, {}, score)
        for i, score in enumerate(scores)
    ]


class Script:
    """Scores in the order in which candidates come, and who came."""

    def __init__(self, at_once, *outcomes):
        self.outcomes, self.asked = list(outcomes), []
        self.scorer = Scorer(
            lambda c, to_beat: self.many([c], to_beat)[0],
            score_many=self.many,
            at_once=at_once,
        )

    def many(self, candidates, to_beat):
        self.asked.append(([c.name for c in candidates], to_beat))
        return [self.outcomes.pop(0) for _ in candidates]


def test_the_next_ones_are_evaluated_with_what_has_been_kept():
    # m1 is left out, m2 wins, so m3 is evaluated anew, with m4; and wins, too.
    script = Script(3, 0.4, 0.6, 0.9, 0.7, 0.1, 0.2)
    soup = hierarchical(
        ingredients(0.5, 0.4, 0.3, 0.2, 0.1), [Level('greedy')], script.scorer
    )
    assert script.asked == [
        (['m1', 'm2', 'm3'], 0.5),
        (['m3', 'm4'], 0.6),
        (['m4'], 0.7),
    ]
    assert [m.name for m in soup.members] == ['m0', 'm2', 'm3']
    assert soup.score == 0.7
    third = pytest.approx(1 / 3)
    assert script.scorer.in_vain == [
        dict(m0=0.5, m3=0.5),
        dict(m0=third, m2=third, m4=third),
    ]
    assert script.scorer.evaluations == 6


def test_nothing_is_evaluated_again_that_was_evaluated_ahead():
    script = Script(2, 0.4, 0.3, 0.2)
    hierarchical(ingredients(0.5, 0.4, 0.3, 0.2), [Level('greedy')], script.scorer)
    assert script.asked == [(['m1', 'm2'], 0.5), (['m3'], 0.5)]
    assert script.scorer.in_vain == []


def test_ranking_evaluates_what_is_unknown_at_once():
    script = Script(2, 0.1, 0.2, 0.3)
    hierarchical(ingredients(None, 0.5, None, None), [Level('best')], script.scorer)
    assert script.asked == [(['m0', 'm2'], None), (['m3'], None)]
    assert script.scorer.in_vain == []


def test_uniform_soups_of_groups_are_evaluated_at_once():
    script = Script(2, 0.1, 0.2, 0.3, 0.1, 0.1)
    weights = {'w': torch.zeros(1)}
    members = [
        Ingredient(f'm{i}', lambda: weights, dict(lr=i % 3), None) for i in range(6)
    ]
    hierarchical(members, gou(), script.scorer)
    assert script.asked[:2] == [(['lr=0', 'lr=1'], None), (['lr=2'], None)]


def test_an_ingredient_that_is_nan_is_not_evaluated_ahead():
    script = Script(3, 0.1, 0.2)
    pool = ingredients(0.5, math.nan, 0.4, 0.3)
    hierarchical(pool, [Level('greedy')], script.scorer)
    assert script.asked == [(['m2', 'm3'], 0.5)]


def never(*_):
    raise AssertionError('was called')


def mix(name):
    return Candidate(name, {name: 1.0}, never)


def test_what_follows_a_candidate_that_is_known_to_win_is_left_alone():
    script = Script(3, 0.9, 0.1, 0.1, 0.1)
    script.scorer.evaluate(mix('b'))
    script.scorer.look_ahead(map(mix, 'abcd'), 0.5)
    assert script.asked == [(['b'], None)]  # a is alone, and evaluated when needed
    script.scorer.look_ahead(map(mix, 'bcd'), 0.5)
    script.scorer.look_ahead(map(mix, 'acd'), 0.5)
    assert script.asked[1:] == [(['a', 'c', 'd'], 0.5)]


def test_no_more_candidates_are_taken_than_are_evaluated():
    script = Script(2, 0.1, 0.2)
    names = iter('abcdef')
    script.scorer.look_ahead(map(mix, names), 0.5)
    assert list(names) == ['c', 'd', 'e', 'f']


def test_one_recipe_is_evaluated_once():
    script = Script(2, 0.1, 0.2)
    same = Candidate('also a', {'a': 1.0}, never)
    script.scorer.look_ahead([mix('a'), same, mix('b')], 0.5)
    assert script.asked == [(['a', 'b'], 0.5)]


def test_without_a_way_to_do_so_nothing_is_evaluated_ahead():
    scorer = Scorer(never)
    scorer.look_ahead(map(never, 'ab'), 0.5)
    scorer.score_all(ingredients(None, None))
    assert scorer.evaluations == 0


@pytest.mark.parametrize('to_beat', [0.4, None])
def test_an_outcome_ahead_that_decides_nothing_is_an_error(to_beat):
    scorer = Scorer(
        never, score_many=lambda c, _: [0.1, NoBetterThan(0.5)][: len(c)], at_once=2
    )
    with pytest.raises(FFMMError, match=f"'m1'.*0.5.*improves on {to_beat}"):
        if to_beat is None:
            scorer.score_all(ingredients(None, None))
        else:
            scorer.look_ahead([mix('m0'), mix('m1')], to_beat)
