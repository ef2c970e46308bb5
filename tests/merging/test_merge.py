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
        ('nonsense', "no merging method 'nonsense'; there are mean, by_tensor, "),
        (dict(type='mean', k=1), "merge='mean': no option 'k'; it has none"),
        (dict(type='towards_origin', beta=1), r"no option 'beta'; there are \['alpha'"),
        (dict(k=1), "expected a name such as 'mean', or dict"),
        (3, 'merge=3: expected a name'),
    ],
)
def test_a_merge_that_there_is_not_is_said_before_anything_is_scored(merge, words):
    with pytest.raises(ConfigError, match=words):
        Level('uniform', merge=merge)


@pytest.mark.parametrize(
    ('merge', 'words'),
    [
        (dict(type='ties', keep=1.2), 'keep=1.2: expected a number from 0 to 1, or'),
        (dict(type='ties', keep=-0.1), 'keep=-0.1: expected a number from 0 to 1'),
        (dict(type='ties', keep=float('nan')), 'keep=nan: expected a number'),
        (dict(type='ties', keep='all'), "keep='all': expected a number"),
        (dict(type='ties', keep=True), 'keep=True: expected a number'),
        (dict(type='ties', scale=float('inf')), 'scale=inf: .*finite and 0 or more'),
        (dict(type='wise_ft', alpha=2), 'alpha=2: expected a number from 0 to 1'),
        (dict(type='wise_ft', alpha=[0.5, 2]), r'alpha=\[0.5, 2\]: expected a number'),
        (dict(type='dare', drop=1.5), 'drop=1.5: expected a number from 0 to 1'),
        (dict(type='dare', seed=0.5), 'seed=0.5: expected a whole number'),
        (dict(type='dare', seed=-1), 'seed=-1: expected a whole number'),
        (dict(type='task_arithmetic', scale=-1), 'scale=-1: expected .* 0 or more'),
        (
            dict(type='task_arithmetic', coefficients=[1, 2]),
            r'coefficients=\[1, 2\]: expected names of members',
        ),
        (
            dict(type='task_arithmetic', coefficients=dict(a='x')),
            'coefficients=.*expected names of members, each with a number',
        ),
        ('weighted', "merge='weighted': give its option 'weights'"),
        (dict(type='weighted', weights=dict(a=-1)), "weights={'a': -1}: .*0 or more"),
        (dict(type='mean', leave_out=3), 'leave_out=3: expected patterns of names'),
        (dict(type='mean', leave_out=['']), r"leave_out=\[''\]: expected patterns"),
    ],
)
def test_an_option_out_of_range_is_said_when_the_config_is_read(merge, words):
    with pytest.raises(ConfigError, match=words) as raised:
        Level('uniform', merge=merge)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
    ('merge', 'words'),
    [
        (dict(type='weighted', weights=dict(a=1, b=1)), "weights: 'c' must have one"),
        (
            dict(type='weighted', weights=dict(a=1, b=1, c=1, x=1)),
            "weights: there is no 'x', there are 'a', 'b', 'c'",
        ),
        (
            dict(type='task_arithmetic', coefficients=dict(x=1)),
            "coefficients: there is no 'x'",
        ),
        (dict(type='mean', leave_out='head'), "'head' fits no entry of a; it has .*w"),
        (dict(type='mean', leave_out=['w']), 'leaves nothing to merge'),
    ],
)
def test_options_that_do_not_fit_the_members_are_said_before_anything_is_scored(
    merge, words
):
    def never(*_):
        raise AssertionError('was scored')

    origin = dict(origin=Supply(ingredients(a=4.0)[0], '0a'))
    with pytest.raises(ConfigError, match=words):
        hierarchical(
            ingredients(),
            [Level('uniform', merge=merge)],
            Scorer(never),
            supplies=origin,
        )


def test_weights_by_name_can_be_for_members_and_groups():
    merge = dict(type='weighted', weights=dict(a=1, b=3, c=1) | GROUPS)
    soup = hierarchical(
        ingredients(a=1.0, b=5.0, c=8.0),
        [Level('uniform', 'lr', merge), Level('uniform', merge=merge)],
        scorer(),
    )
    assert soup.score == 5.0 and soup.load()['w'] == 5.0
    assert soup.recipe == pytest.approx(dict(a=3 / 16, b=9 / 16, c=1 / 4))
    described = tree(soup)
    assert [m['weight'] for m in described['members']] == [0.75, 0.25]


GROUPS = {'lr=True': 3, 'lr=False': 1}


def test_weights_by_name_decide_a_greedy_soup():
    merge = dict(type='weighted', weights=dict(a=1, b=3))
    pool = ingredients(a=8.0, b=4.0)
    near_5 = Scorer(lambda candidate, _: -abs(candidate.load()['w'].item() - 5))
    soup = hierarchical(pool, [Level('greedy', merge=merge)], near_5)
    assert soup.load()['w'] == 5 and [m.name for m in soup.members] == ['b', 'a']
    assert soup.recipe == pytest.approx(dict(a=0.25, b=0.75))
