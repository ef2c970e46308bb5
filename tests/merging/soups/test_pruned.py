"""Pruned soups against what comes out by hand, and by plain arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.merging import (
    SOUPS,
    Ingredient,
    Level,
    NoBetterThan,
    Scorer,
    hierarchical,
    uniform,
)
from ff_mm.merging.methods import METHODS, Method
from ff_mm.merging.soups.pruned import pruned


def ingredient(name, *values, score=None):
    weights = {'w': torch.tensor(values, dtype=torch.float32)}
    return Ingredient(name, lambda: dict(weights), {}, score)


def near_zero(**options):
    """A scorer by minus the distance of a model to 0."""

    def score(candidate, to_beat):
        return -candidate.load()['w'].norm().item()

    return Scorer(score, **options)


def test_by_hand():
    """Means to 0 of 1, 2, 4 and -1: 1.5; without 4: 2/3; without 2 then: 0."""
    models = [ingredient(f'm{value}', value) for value in (2.0, 1.0, 4.0, -1.0)]
    soup = pruned(models, near_zero(), 's')
    assert [m.name for m in soup.members] == ['m1.0', 'm-1.0']
    assert [m.name for m in soup.rejected] == ['m4.0', 'm2.0']
    assert (soup.score, soup.load()['w'].item(), soup.method) == (0, 0, 'pruned')
    told = [(s.candidate, s.accepted, s.reason) for s in soup.steps]
    assert told == [
        ('s', True, 'mean of all 4'),
        ('m4.0', False, 'better without'),
        ('m2.0', False, 'better without'),
        ('m-1.0', True, 'worse without'),
        ('m1.0', True, 'worse without'),
    ]
    assert [s.best for s in soup.steps] == pytest.approx([None, -1.5, -2 / 3, 0, 0])
    assert [s.score for s in soup.steps] == pytest.approx([-1.5, -2 / 3, 0, -1, -1])


def test_what_has_stayed_is_tried_again_once_another_is_gone():
    """10 and -9 balance, so 10 stays; once -9 is gone it goes."""
    models = [ingredient(n, v) for n, v in dict(a=10.0, b=-9.0, c=0.5).items()]
    scores = {'abc': 5, 'bc': 1, 'ac': 6, 'ab': 2, 'a': 0, 'b': 0, 'c': 7}

    def score(candidate, to_beat):
        return scores[''.join(sorted(candidate.recipe))]

    models[0] = ingredient('a', 10.0, score=0)
    soup = pruned(models, Scorer(score), 's')
    told = [(s.candidate, s.accepted) for s in soup.steps]
    # Of equal ones the last is tried first.
    assert told == [('s', True), ('b', False), ('a', False)]
    assert soup.recipe == {'c': 1.0} and soup.score == 7


def by_hand(models, score):
    """The pruned soup on arrays; names of what is left."""
    left = dict(models)

    def of(names):
        return score(np.mean([left[name] for name in names], axis=0))

    order = sorted(left, key=lambda name: score(left[name]), reverse=True)[::-1]
    names, best = list(order), of(order)
    again = True
    while again and len(names) > 1:
        again = False
        turn = list(order)
        while turn and len(names) > 1:
            name = turn.pop(0)
            new = of([n for n in names if n != name])
            if new > best:
                names.remove(name)
                best, order, again = new, [*turn, *order[: -len(turn) - 1]], True
                turn = list(order)
    return set(names), best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_it_is_the_pruned_soup_by_plain_arithmetic(seed, count):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(count, 3)) + generator.normal(size=3)
    models = {f'm{i}': point for i, point in enumerate(points)}
    soup = pruned([ingredient(n, *p) for n, p in models.items()], near_zero(), 's')
    names, best = by_hand(models, lambda w: -np.linalg.norm(w))
    assert {m.name for m in soup.members} == names
    assert soup.score == pytest.approx(best, rel=1e-5, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7))
def test_no_single_drop_is_better_and_all_together_are_no_better(seed, count):
    generator = np.random.default_rng(seed)
    models = [
        ingredient(f'm{i}', *generator.normal(size=3) + 0.5) for i in range(count)
    ]
    scorer = near_zero()
    soup = pruned(models, scorer, 's')
    assert soup.score >= uniform(models, scorer, 'all').score
    for one in soup.members if len(soup.members) > 1 else ():
        others = [member for member in soup.members if member is not one]
        assert uniform(others, scorer, 'fewer').score <= soup.score


def test_where_nothing_hurts_it_is_the_uniform_soup_bit_for_bit():
    torch.manual_seed(0)
    models = [ingredient(f'm{i}', *torch.randn(50).tolist()) for i in range(7)]
    scorer = Scorer(lambda candidate, _: float(len(candidate.recipe)))
    soup = pruned(models, scorer, 's')
    everything = uniform(models, scorer, 'u')
    assert soup.recipe == everything.recipe and not soup.rejected
    assert torch.equal(soup.load()['w'], everything.load()['w'])
    # Each alone, all together, and all but each: the last is known already.
    assert scorer.evaluations == 7 + 1 + 7


@pytest.mark.parametrize(('accept', 'left'), [(False, 3), (True, 1)])
def test_ties(accept, left):
    models = [ingredient(f'm{i}', i, score=0.5) for i in range(3)]
    soup = pruned(models, Scorer(lambda *_: 0.5, accept_ties=accept), 's')
    assert len(soup.members) == left and soup.members[0].name == 'm0'


def test_diverged_ingredients_are_no_part_of_it():
    models = [ingredient('a', 1.0), ingredient('bad', math.nan), ingredient('b', -1.0)]
    soup = pruned(models, near_zero(), 's')
    assert [m.name for m in soup.members] == ['a', 'b']
    assert [s.reason for s in soup.steps][:2] == [
        'mean of all 2',
        'its own score is NaN',
    ]


def test_any_merging_method_will_do(monkeypatch):
    def longest(members, weights):
        return max((m.load() for m in members), key=lambda w: w['w'].norm())

    monkeypatch.setitem(METHODS, 'longest', Method(longest, ordered=False))
    models = [ingredient(f'm{v}', v) for v in (3.0, 1.0, 2.0)]
    level = Level('pruned', merge='longest')
    soup = hierarchical(models, [level], near_zero(), 's')
    assert [m.name for m in soup.members] == ['m1.0'] and soup.score == -1
    assert soup.merge.type == 'mean'  # one alone is not merged with anything
    assert 'pruned' in SOUPS


def test_what_cannot_be_better_without_stays():
    def score(candidate, to_beat):
        return 1.0 if to_beat is None else NoBetterThan(0.5)

    soup = pruned([ingredient(n, 1.0) for n in 'abc'], Scorer(score), 's')
    assert len(soup.members) == 3
    assert (soup.steps[1].bound, soup.steps[1].score) == (0.5, None)
    assert soup.steps[1].reason == 'cannot be better without'
