from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import (
    SOUPS,
    Candidate,
    Ingredient,
    Level,
    NoBetterThan,
    Scorer,
    Soup,
    gog,
    gou,
    hierarchical,
    tree,
)

CASES = 40
RULES = ['greater', 'less']


def ingredient(name, value=0.0, score=None):
    return Ingredient(name, lambda: {'w': torch.tensor([float(value)])}, {}, score)


def candidate(name='c', **recipe):
    return Candidate(name, recipe or {name: 1.0}, never)


def never(*_):
    raise AssertionError('was called')


# Stopping early


class Cases:
    """Linear classifiers on cases: the share of right, or of wrong, predictions.

    Models of one pool agree on many cases and differ on some, so that scores tie now
    and then, and what stops early does so anywhere from the first case to the last.
    """

    def __init__(self, seed, rule, accept_ties, stops):
        generator = np.random.default_rng(seed)
        self.inputs = generator.normal(size=(CASES, 6))
        centre = generator.normal(size=6)
        self.truth = self.inputs @ centre > 0
        self.chunk = int(generator.integers(1, 9))
        self.rule, self.stops = rule, stops
        self.stopped = self.finished = 0
        self.scorer = Scorer(self.score, rule, accept_ties)
        points = centre + generator.normal(size=(12, 6))
        self.ingredients = [self._ingredient(i, p) for i, p in enumerate(points)]

    def _ingredient(self, i, point):
        state = {'w': torch.tensor(point, dtype=torch.float32)}
        score = None
        if i % 3:  # some scores are known
            score = self._share(self._right(state).sum())
        return Ingredient(f'm{i}', lambda: dict(state), {'lr': i % 4}, score)

    def _right(self, state_dict):
        found = self.inputs @ state_dict['w'].double().numpy() > 0
        return found == self.truth

    def _share(self, right):
        return (right if self.rule == 'greater' else CASES - right) / CASES

    def score(self, candidate, to_beat):
        right = self._right(candidate.load())
        for seen in range(self.chunk, CASES, self.chunk):
            bound = self._share(right[:seen].sum() + CASES - seen)
            beaten = to_beat is None or self.scorer.improves(bound, to_beat)
            if self.stops and not beaten:
                self.stopped += 1
                return NoBetterThan(bound)
        self.finished += 1
        return self._share(right.sum())


def outcome(soup):
    """What was chosen of it, at all levels: names, weights, scores."""
    kept = {k: v for k, v in soup.items() if k not in ('steps', 'members', 'rejected')}
    for key in ('members', 'rejected'):
        kept[key] = [outcome(member) for member in soup.get(key, ())]
    steps = soup.get('steps', ())
    kept['accepted'] = [(s['candidate'], s['accepted'], s['best']) for s in steps]
    return kept


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(RULES),
    st.booleans(),
    st.sampled_from([[Level('greedy')], gog(), gou()]),
)
def test_stopping_early_changes_no_decision(seed, rule, accept_ties, levels):
    soups = []
    for stops in (False, True):
        cases = Cases(seed, rule, accept_ties, stops)
        soups.append(hierarchical(cases.ingredients, levels, cases.scorer))
    full, early = map(tree, soups)
    assert outcome(early) == outcome(full)
    assert soups[0].recipe == soups[1].recipe
    assert torch.equal(soups[0].load()['w'], soups[1].load()['w'])
    for one, other in zip(full['steps'], early['steps'], strict=True):
        if other['bound'] is None:
            assert one == other
        else:  # the bound was sound
            assert other['score'] is None and other['reason'] == 'cannot be better'
            assert not cases.scorer.improves(other['bound'], other['best'])
            assert max(one['score'], other['bound'], key=_good(rule)) == other['bound']


def _good(rule):
    return (lambda x: x) if rule == 'greater' else (lambda x: -x)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('accept_ties', [False, True])
def test_much_is_stopped_early_and_much_is_not(rule, accept_ties):
    """Else the test above would say little."""
    ties = 0
    for levels in (gog(), gou(), [Level('greedy')]):
        stopped = finished = kept = 0
        for seed in range(30):
            cases = Cases(seed, rule, accept_ties, True)
            soup = hierarchical(cases.ingredients, levels, cases.scorer)
            stopped, finished = stopped + cases.stopped, finished + cases.finished
            kept += len(soup.members) > 1
            ties += any('tie' in step.reason for step in soup.steps)
        assert stopped > 30 and finished > 30 and kept > 10
    assert ties


def test_a_bound_is_part_of_the_tree():
    def score(candidate, to_beat):
        return 0.5 if to_beat is None else NoBetterThan(0.4)

    soup = SOUPS['greedy']([ingredient('a'), ingredient('b')], Scorer(score), 's')
    step = tree(soup)['steps'][1]
    assert step == dict(
        candidate='b',
        score=None,
        best=0.5,
        accepted=False,
        reason='cannot be better',
        bound=0.4,
    )
    assert tree(soup)['steps'][0]['bound'] is None


def test_only_greedy_says_what_is_to_beat():
    asked = []

    def score(candidate, to_beat):
        asked.append(to_beat)
        return float(candidate.load()['w'])

    models = [ingredient(f'm{i}', i) for i in range(3)]
    SOUPS['best'](models, Scorer(score), 's')
    SOUPS['uniform'](models, Scorer(score), 's')
    assert asked == [None] * 4
    asked.clear()
    SOUPS['greedy'](models, Scorer(score), 's')
    assert asked == [None, None, None, 2.0, 2.0]


@pytest.mark.parametrize(
    ('rule', 'accept_ties', 'bound', 'to_beat'),
    [
        ('greater', False, 0.6, 0.5),
        ('greater', True, 0.5, 0.5),
        ('less', False, 0.4, 0.5),
        ('less', True, 0.5, 0.5),
        ('greater', False, 0.1, None),
        ('greater', False, 0.1, math.nan),
        ('greater', False, math.nan, 0.5),
    ],
)
def test_a_bound_that_decides_nothing_is_an_error(rule, accept_ties, bound, to_beat):
    scorer = Scorer(lambda *_: NoBetterThan(bound), rule, accept_ties)
    with pytest.raises(FFMMError, match=f"'mix'.*{bound}.*improves on {to_beat}"):
        scorer.evaluate(candidate('mix'), to_beat)


@pytest.mark.parametrize('rule', RULES)
def test_a_tie_decides_where_ties_are_not_accepted(rule):
    scorer = Scorer(lambda *_: NoBetterThan(0.5), rule)
    assert scorer.evaluate(candidate(), 0.5) == NoBetterThan(0.5)


# Remembering


def test_a_bound_is_used_again_while_it_decides_and_then_replaced():
    outcomes = [NoBetterThan(0.4), NoBetterThan(0.35), 0.3]
    scorer = Scorer(lambda *_: outcomes.pop(0))
    mix = candidate()
    assert scorer.evaluate(mix, 0.5) == NoBetterThan(0.4)
    assert scorer.evaluate(mix, 0.45) == NoBetterThan(0.4)
    assert scorer.evaluations == 1
    assert scorer.evaluate(mix, 0.37) == NoBetterThan(0.35)
    assert scorer.evaluations == 2
    assert scorer.evaluate(mix) == 0.3
    for to_beat in (None, 0.9, 0.1):
        assert scorer.evaluate(mix, to_beat) == 0.3
    assert scorer.evaluations == 3


def test_a_bound_is_no_score_of_a_soup():
    outcomes = [NoBetterThan(0.4), 0.3]
    scorer = Scorer(lambda *_: outcomes.pop(0))
    soup = Soup('s', 'uniform', (ingredient('a'), ingredient('b')))
    scorer.evaluate(Candidate('ab', soup.recipe, never), 0.5)
    assert scorer.score(soup) == 0.3


@pytest.mark.parametrize('known', [0.25, math.nan])
def test_a_lone_known_ingredient_is_never_evaluated(known):
    a = ingredient('a', score=known)
    scorer = Scorer(never)
    nested = Soup('t', 'uniform', (Soup('s', 'uniform', (a,)), a))
    assert scorer.score(nested) == pytest.approx(known, nan_ok=True)
    again = scorer.evaluate(Candidate('a', {'a': 1.0}, never), 0.5)
    assert again == pytest.approx(known, nan_ok=True)
    assert scorer.evaluations == 0


def test_nan_is_remembered_and_no_bound():
    outcomes = [math.nan]
    scorer = Scorer(lambda *_: outcomes.pop(0))
    assert math.isnan(scorer.evaluate(candidate(), 0.5))
    assert math.isnan(scorer.evaluate(candidate(), 0.1))


def test_scores_of_numpy_and_torch_become_plain():
    for value in (np.float32(0.5), torch.tensor(0.5), 1):
        scorer = Scorer(lambda *_, value=value: value)
        assert type(scorer.evaluate(candidate())) is float


def test_the_rule_is_one_of_two():
    with pytest.raises(ConfigError, match="got 'max'"):
        Scorer(never, rule='max')


def test_a_candidate_has_a_name_a_recipe_and_fills_what_it_is_given():
    seen = []

    def score(candidate, to_beat):
        out = {'w': torch.full((1,), math.nan)}
        assert candidate.load(out) is out
        assert torch.equal(out['w'], candidate.load()['w'])
        seen.append((candidate.name, candidate.recipe, out['w'].item()))
        return -abs(out['w'].item() - 1.4)

    models = [ingredient(f'm{i}', i) for i in range(4)]
    soup = SOUPS['greedy'](models, Scorer(score), 's')
    assert seen[:4] == [(f'm{i}', {f'm{i}': 1.0}, i) for i in range(4)]
    assert seen[4] == ('m2', {'m1': 0.5, 'm2': 0.5}, 1.5)
    assert soup.recipe == {'m1': 0.5, 'm2': 0.5}
