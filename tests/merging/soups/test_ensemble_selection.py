"""Ensemble selection against counts by hand, and by plain arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ensembles import ingredient, scorer
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging import Level, Scorer, hierarchical, tree
from ff_mm.merging.soups.choice import Choice
from ff_mm.merging.soups.ensemble_selection import (
    EnsembleSelectionOptions,
    ensemble_selection,
)


def near(target):
    return lambda mean: -float(np.linalg.norm(np.asarray(mean) - target))


def options(**values):
    return EnsembleSelectionOptions(**{'sorted_start': 1, **values})


def counts(soup):
    return dict(zip((m.name for m in soup.members), soup.shares, strict=True))


def test_by_hand():
    """To 1 of 0, 3 and 7: 0; with 3, 1.5; with 0 again, 1 exactly."""
    models = [ingredient('c', 7.0), ingredient('b', 3.0), ingredient('a', 0.0)]
    made = scorer(near(1))
    soup = ensemble_selection(models, made, 's', options=options(rounds=5))
    assert counts(soup) == {'a': 2, 'b': 1}
    assert [m.name for m in soup.rejected] == ['c']
    assert soup.recipe == pytest.approx({'a': 2 / 3, 'b': 1 / 3})
    assert soup.load()['w'].item() == pytest.approx(1)
    # 0, 3, 0 is it; then 0 makes 0.75, and 3 makes 1.2.
    assert [s.candidate for s in soup.steps] == [*'abaab', 's']
    assert [s.accepted for s in soup.steps] == [True] * 3 + [False] * 2 + [True]
    scores = [s.score for s in soup.steps]
    assert scores == pytest.approx([-1, -0.5, 0, -0.25, -0.2, soup.score])
    # Each says it once, and of scores only that of the soup is asked for.
    assert set(made.ensembles.asked.values()) == {1} and made.evaluations == 1
    assert (soup.method, soup.hyper) == ('ensemble_selection', {})


def test_as_many_of_the_best_are_taken_as_are_best_together():
    """Of 2, -3 and 9, to 0: 2; with -3, -0.5; with 9 too, 8/3. It goes on from -0.5."""
    models = [ingredient(n, v) for n, v in dict(a=2.0, b=-3.0, c=9.0).items()]
    soup = ensemble_selection(
        models, scorer(near(0)), 's', options=options(sorted_start=3, rounds=3)
    )
    assert counts(soup) == {'a': 2, 'b': 1}
    assert [(s.candidate, s.accepted) for s in soup.steps[:3]] == [
        ('a', True),
        ('b', True),
        ('c', False),
    ]
    soup = ensemble_selection(
        models, scorer(near(0)), 's', options=options(sorted_start=3, rounds=5)
    )
    assert counts(soup) == {'a': 3, 'b': 2}


def by_hand(models, score, rounds, start):
    """Ensemble selection on arrays; how often each is in the best one."""
    ranked = sorted(range(len(models)), key=lambda i: -score(models[i]))
    prefixes = [ranked[:n] for n in range(1, min(start, rounds, len(models)) + 1)]

    def of(chosen):
        return score(np.mean([models[i] for i in chosen], axis=0))

    best = so_far = max(prefixes, key=of)  # the first of equal ones
    while len(so_far) < rounds:
        so_far = [*so_far, max(ranked, key=lambda i: of([*so_far, i]))]
        best = so_far if of(so_far) > of(best) else best
    return [best.count(i) for i in range(len(models))], of(best)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 9), st.integers(1, 4))
def test_it_is_ensemble_selection_by_plain_arithmetic(seed, count, rounds, start):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    models = [ingredient(f'm{i}', *point) for i, point in enumerate(points)]
    soup = ensemble_selection(
        models,
        scorer(near(0.2)),
        's',
        options=options(rounds=rounds, sorted_start=start),
    )
    expected, best = by_hand(points, near(0.2), rounds, start)
    found = counts(soup)
    scale = sum(expected) / sum(found.values())  # equal counts are not kept
    assert [found.get(f'm{i}', 0) * scale for i in range(count)] == expected
    assert soup.score == pytest.approx(best)


def test_of_equal_ones_the_better_alone_is_added_then_the_first():
    models = [ingredient(n, 1.0) for n in 'xy']
    soup = ensemble_selection(
        models, scorer(lambda mean: 0.5), 's', options=options(rounds=4)
    )
    # A tie is no gain, so one is enough.
    assert soup.recipe == {'x': 1.0} and soup.is_its_member
    assert {s.candidate for s in soup.steps[:4]} == {'x'}


def test_what_says_nan_stays_out():
    models = [ingredient('bad', math.nan), ingredient('a', 1.0), ingredient('b', -1.0)]
    soup = ensemble_selection(
        models, scorer(near(0)), 's', options=options(rounds=4, sorted_start=3)
    )
    assert counts(soup) == {'a': 1, 'b': 1} and soup.score == 0
    with pytest.raises(FFMMError, match='every ingredient is NaN: bad, worse'):
        nan = [ingredient('bad', math.nan), ingredient('worse', math.nan)]
        ensemble_selection(nan, scorer(near(0)), 's')


def test_less_may_be_better():
    models = [ingredient(n, v) for n, v in dict(a=0.0, b=3.0, c=7.0).items()]
    less = scorer(lambda mean: -near(1)(mean), rule='less')
    soup = ensemble_selection(models, less, 's', options=options(rounds=5))
    assert counts(soup) == {'a': 2, 'b': 1}


def test_in_levels_with_options_and_in_the_tree():
    models = [
        ingredient('a', 0.0, lr=1),
        ingredient('b', 3.0, lr=1),
        ingredient('c', 2.0, lr=2),
    ]
    which = dict(type='ensemble_selection', sorted_start=1, rounds=3)
    soup = hierarchical(
        models, [Level(which, 'lr'), Level('best')], scorer(near(1)), 'x'
    )
    (group,) = soup.members
    assert counts(group) == {'a': 2, 'b': 1}
    node = tree(soup)['members'][0]
    assert node['weights'] == [2, 1]
    assert [m['weight'] for m in node['members']] == pytest.approx([2 / 3, 1 / 3])


def test_a_scorer_without_ensembles_is_refused_in_a_line():
    models = [ingredient('a', 0.0), ingredient('b', 1.0)]
    with pytest.raises(FFMMError, match=r"'s' needs predictions .*ensembles=") as error:
        ensemble_selection(models, Scorer(lambda *_: 0.0), 's')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('given', 'says'),
    [
        (dict(rounds=0), 'rounds=0: expected a whole number of at least 1'),
        (dict(rounds=2.5), 'rounds=2.5: expected a whole'),
        (dict(sorted_start=True), 'sorted_start=True: expected a whole'),
        (dict(average='votes'), "average='votes': expected one of"),
        (dict(round=3), r"no option 'round'; there are \['average'"),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_bad_options(given, says):
    with pytest.raises(ConfigError, match=says):
        Choice('ensemble_selection', given)


def test_bad_choices():
    with pytest.raises(ConfigError, match="'uniform': no option 'rounds'; it has none"):
        Level(dict(type='uniform', rounds=3))
    with pytest.raises(ConfigError, match='soup=3: expected a name'):
        Level(3)
    with pytest.raises(ConfigError, match="no soup 'gready'"):
        Level('gready')
