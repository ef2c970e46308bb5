from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ff_mm.comparison.study.bootstrap import HierarchicalBootstrap

NAMES = ['a', 'b', 'c']


def test_of_one_setting_it_is_the_resamples_of_that_setting():
    values = np.random.default_rng(0).normal(size=500)
    bootstrap = HierarchicalBootstrap(['a'], 500, seed=1)
    for draw in (bootstrap.over_settings, bootstrap.fixed):
        np.testing.assert_array_equal(np.sort(draw(dict(a=values))), np.sort(values))


def test_worked_by_hand():
    """Settings without any spread: of two 0 and 1 the means are 0, 1/2, 1/2, 1."""
    values = dict(a=np.zeros(8000), b=np.ones(8000))
    bootstrap = HierarchicalBootstrap(['a', 'b'], 8000, seed=0)
    found, counts = np.unique(bootstrap.over_settings(values), return_counts=True)
    assert found.tolist() == [0, 0.5, 1]
    assert counts / 8000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
    assert set(bootstrap.fixed(values)) == {0.5}


def test_every_mean_comes_as_often_as_in_all_draws_there_are():
    # Resamples of each setting take three values equally often.
    kinds = dict(a=(0.0, 1.0, 2.0), b=(10.0, 13.0, 19.0))
    number = 90_000
    values = {name: np.repeat(kind, number // 3) for name, kind in kinds.items()}
    bootstrap = HierarchicalBootstrap(list(kinds), number, seed=0)

    def shares(means):
        found, counts = np.unique(means, return_counts=True)
        return dict(zip(found.tolist(), counts / len(means), strict=True))

    # The same setting twice has two draws of its cases.
    drawn = [
        np.mean(pair)
        for first, second in product(kinds.values(), repeat=2)
        for pair in product(first, second)
    ]
    expected = shares(np.array(drawn))
    found = shares(bootstrap.over_settings(values))
    assert found.keys() == expected.keys()
    for mean, share in expected.items():
        assert found[mean] == pytest.approx(share, abs=0.005)
    expected = shares(np.array([np.mean(pair) for pair in product(*kinds.values())]))
    found = shares(bootstrap.fixed(values))
    assert found.keys() == expected.keys()
    for mean, share in expected.items():
        assert found[mean] == pytest.approx(share, abs=0.005)


def test_methods_in_the_same_settings_are_paired_and_others_go_by_what_they_have():
    draw = np.random.default_rng(0)
    values = {name: draw.normal(size=300) for name in NAMES}
    bootstrap = HierarchicalBootstrap(NAMES, 300, seed=0)
    for draws in (bootstrap.over_settings, bootstrap.fixed):
        better = draws({name: each + 1 for name, each in values.items()})
        np.testing.assert_allclose(better - draws(values), 1)
        # The order of the settings is that of the study.
        turned = dict(reversed(values.items()))
        np.testing.assert_array_equal(draws(turned), draws(values))
        alone = draws({'b': values['b']})
        np.testing.assert_array_equal(np.sort(alone), np.sort(values['b']))


def test_resamples_of_equal_number_are_not_taken_for_the_same():
    """Settings are drawn by the same seed, and are still independent."""
    values = np.random.default_rng(0).normal(size=20_000)
    of_four = {name: values for name in 'abcd'}
    bootstrap = HierarchicalBootstrap('abcd', 20_000, seed=0)
    for draws in (bootstrap.over_settings, bootstrap.fixed):
        assert draws(of_four).std() == pytest.approx(values.std() / 2, rel=0.03)


def test_the_seed_decides():
    values = dict(a=np.arange(200.0), b=np.arange(200.0) ** 2)
    one, same, other = (HierarchicalBootstrap(['a', 'b'], 200, s) for s in (0, 0, 1))
    drawn = one.over_settings(values)
    np.testing.assert_array_equal(drawn, same.over_settings(values))
    assert (drawn != other.over_settings(values)).any()
