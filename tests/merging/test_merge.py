"""HOW weights are combined: a method added by the documented steps, in any soup."""

from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError
from ff_mm.merging import Ingredient, Level, Scorer, Soup, greedy, hierarchical, tree
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import METHODS, Method, Supply

VALUES = {'a': 1.0, 'b': 1.0, 'c': 7.0}


def median(members, weights):
    """The median of each weight; the whole of what a new method is."""
    loaded = [member.load() for member in members]
    return {
        key: torch.stack([weights[key] for weights in loaded]).median(0).values
        for key in loaded[0]
    }


def towards_origin(members, weights, *, origin, alpha=0.5):
    start, (one,) = origin.load(), [member.load() for member in members]
    return {key: (1 - alpha) * start[key] + alpha * one[key] for key in start}


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    monkeypatch.setitem(METHODS, 'median', Method(median, ordered=False))
    monkeypatch.setitem(
        METHODS, 'towards_origin', Method(towards_origin, needs=('origin',))
    )


def ingredients(**values):
    return [
        Ingredient(n, lambda v=v: {'w': torch.tensor([v])}, {'lr': n < 'c'})
        for n, v in (values or VALUES).items()
    ]


def scorer():
    """Its score is the weight itself."""
    return Scorer(lambda candidate, _: candidate.load()['w'].item())


def test_a_median_soup_has_its_own_score_beside_the_uniform_one():
    shared, pool = scorer(), ingredients()
    levels = {name: [Level('uniform', merge=name)] for name in ('mean', 'median')}
    soups = {n: hierarchical(pool, level, shared) for n, level in levels.items()}
    # Its score was the uniform soup's 3.0 when weights alone named a soup.
    assert {name: soup.score for name, soup in soups.items()} == dict(mean=3, median=1)
    assert soups['median'].load()['w'] == 1


def test_a_greedy_soup_tries_what_the_method_makes():
    # 7 alone; median of (7, 1) is 1 in torch: worse.
    soup = greedy(ingredients(), scorer(), 's', merge=Merge('median'))
    assert [m.name for m in soup.members] == ['c'] and soup.load()['w'] == 7
    found = []

    def least_far_from_4(candidate, _):
        found.append(candidate.load()['w'].item())
        return abs(found[-1] - 4)

    pool = ingredients(a=0.0, b=5.0, c=4.5, d=2.0)
    soup = greedy(pool, Scorer(least_far_from_4, 'less'), 's', merge=Merge('median'))
    # 4.5 alone (0.5); with 5: 4.5, a tie; with 2: 2; with 0: 0.
    assert [m.name for m in soup.members] == ['c']
    assert found[4:] == [4.5, 2.0, 0.0]


def test_levels_are_merged_each_in_its_way_and_kept_in_files(tmp_path):
    levels = [Level('uniform', 'lr', 'median'), Level('uniform', merge='mean')]
    pool = ingredients(a=1.0, b=3.0, bb=2.0, c=8.0)
    soup = hierarchical(pool, levels, scorer(), store=tmp_path)
    assert soup.score == 5 and soup.load()['w'] == 5
    described = tree(soup)
    below, other = described['members']
    assert (below['merge'], below['weight']) == (dict(type='median'), 0.5)
    assert [m['weight'] for m in below['members']] == [None] * 3
    assert (other['members'][0]['weight'], 'merge' in described) == (None, False)


def test_what_a_method_needs_is_given_or_asked_for_in_one_line():
    level = Level('uniform', merge=dict(type='towards_origin', alpha=0.25))
    pool = ingredients(a=8.0)
    with pytest.raises(ConfigError, match=r"needs 'origin'.*give origin=FILE"):
        hierarchical(pool, [level], scorer())
    origin = Supply(ingredients(a=4.0)[0], content='0a')
    soup = hierarchical(pool, [level], scorer(), supplies=dict(origin=origin))
    assert soup.score == 5 and soup.load()['w'] == 5


def test_out_is_filled_by_any_method():
    soup = Soup('s', 'uniform', tuple(ingredients()), merge=Merge('median'))
    out = {'w': torch.zeros(1)}
    assert soup.load(out) is out and out['w'] == 1


def test_a_soup_with_weights_of_its_own_is_the_weighted_mean():
    soup = Soup('s', 'learned', tuple(ingredients()), weights=(1.0, 2.0, -1.0))
    assert soup.load()['w'].item() == pytest.approx(-2.0)
    assert soup.recipe == pytest.approx(dict(a=0.5, b=1.0, c=-0.5))
    assert [m['weight'] for m in tree(soup)['members']] == [0.5, 1.0, -0.5]
    assert tree(soup)['weights'] == [1.0, 2.0, -1.0]


def test_what_has_other_weights_is_no_soup_of_its_own_class():
    with pytest.raises(TypeError, match='merging method'):
        type('MedianSoup', (Soup,), {})


@pytest.mark.parametrize(
    ('merge', 'words'),
    [
        ('nonsense', "no merging method 'nonsense'; there are mean, weighted, "),
        (dict(type='mean', k=1), "merge='mean': no option 'k'; it has none"),
        (dict(type='towards_origin', beta=1), r"no option 'beta'; there are \['alpha'"),
        (dict(k=1), "expected a name such as 'mean', or dict"),
        (3, 'merge=3: expected a name'),
    ],
)
def test_a_merge_that_there_is_not_is_said_before_anything_is_scored(merge, words):
    with pytest.raises(ConfigError, match=words):
        Level('uniform', merge=merge)
