from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_outputs import of_classes, of_labels

from ff_mm.comparison import Predictions, PredictionsError, Resampling
from ff_mm.comparison.resampling import two_sided_p
from ff_mm.evaluation.resampling import percentile_interval


def drawn(resampling):
    return np.concatenate(list(resampling.batches()))


def with_truth(truth, groups=None):
    truth = np.array(truth)
    scores = np.full((len(truth), truth.max() + 1), 0.5)
    return Predictions(scores, truth, tuple(range(len(truth))), groups)


def test_independent_cases():
    counts = drawn(Resampling(of_classes(60), 2000, seed=0))
    assert counts.shape == (2000, 60)
    assert (counts.sum(axis=1) == 60).all()
    # Each count is binomial; 2000 of them have a standard error of 0.022.
    assert counts.mean(axis=0) == pytest.approx(np.ones(60), abs=0.1)
    assert counts.var() == pytest.approx(1 - 1 / 60, abs=0.02)


def test_a_group_is_drawn_as_a_whole():
    groups = np.random.default_rng(0).integers(100, 120, 60)
    resampling = Resampling(of_classes(60, groups=groups), 500, seed=0)
    counts = drawn(resampling)
    names, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    assert resampling.groups == len(names)
    for name, case in zip(names, first, strict=True):
        assert (counts[:, groups == name] == counts[:, [case]]).all()
    assert (counts[:, first].sum(axis=1) == len(names)).all()
    assert (counts.sum(axis=1) == counts[:, first] @ sizes).all()
    assert len(np.unique(counts.sum(axis=1))) > 1


def test_the_same_seed_and_every_pass_gives_the_same():
    resampling = Resampling(of_classes(), 50, seed=3)
    counts = drawn(resampling)
    assert np.array_equal(counts, drawn(resampling))
    assert np.array_equal(counts, drawn(Resampling(of_classes(), 50, seed=3)))
    assert not np.array_equal(counts, drawn(Resampling(of_classes(), 50, seed=4)))


def test_models_of_the_same_cases_get_the_same():
    one, other = (Resampling(of_classes(model=m), 50, seed=0) for m in (0, 1))
    assert np.array_equal(drawn(one), drawn(other))


def test_no_resample_lacks_a_class():
    predictions = with_truth([0] * 29 + [1])
    resampling = Resampling(predictions, 2000, seed=0)
    counts = drawn(resampling)
    assert counts.shape == (2000, 30)
    assert (counts[:, 29] > 0).all()
    assert resampling.may_lack == []
    # One of 30 cases is missing from this part of all draws.
    expected = (1 - 1 / 30) ** 30
    part = resampling.redrawn / (2000 + resampling.redrawn)
    assert part == pytest.approx(expected, abs=4 * (expected / 3000) ** 0.5)


def test_a_class_in_one_group_of_many_cases():
    predictions = with_truth([0] * 20 + [1] * 10, groups=[*range(20), *[20] * 10])
    counts = drawn(Resampling(predictions, 300, seed=0))
    assert (counts[:, 20:].sum(axis=1) > 0).all()


def test_a_class_that_the_set_lacks_is_not_asked_for():
    predictions = replace(of_classes(classes=4), truth=np.arange(60) % 2)
    resampling = Resampling(predictions, 100, seed=0)
    assert len(drawn(resampling)) == 100
    assert (resampling.redrawn, resampling.may_lack) == (0, [])


def test_labels_keep_a_positive_and_a_negative():
    predictions = of_labels(30, labels=3, missing=0)
    truth = predictions.truth.copy()
    truth[:, 0] = 0
    truth[4, 0] = 1
    truth[:, 1] = [0] + [1] * 29
    truth[:, 2] = [1, -1] * 15
    predictions = replace(predictions, truth=truth)
    resampling = Resampling(predictions, 300, seed=0)
    counts = drawn(resampling)
    assert (counts[:, 4] > 0).all()
    assert (counts[:, 0] > 0).all()
    assert resampling.redrawn > 0


@pytest.mark.parametrize('number', [20, 60])
def test_too_many_rare_classes_to_keep_them_all(number):
    # Two common classes, and many of one case each.
    predictions = with_truth([0] * 50 + [1] * 50 + list(range(2, number)))
    resampling = Resampling(predictions, 100, seed=0)
    counts = drawn(resampling)
    assert len(counts) == 100
    assert resampling.redrawn < 2 * 100 * 100
    assert 0 < len(resampling.may_lack) < number - 2
    assert not {0, 1} & set(resampling.may_lack)
    kept = sorted(set(range(2, number)) - set(resampling.may_lack))
    for label in kept:
        assert (counts[:, predictions.truth == label] > 0).all()


def test_ten_cases_of_ten_classes():
    # Only a permutation has them all: one draw of 2755.
    resampling = Resampling(with_truth(list(range(10))), 20, seed=0)
    assert len(drawn(resampling)) == 20
    assert resampling.may_lack


@pytest.mark.parametrize(
    'found', [of_classes(cases=1), of_classes(cases=9, groups=np.zeros(9, int))]
)
def test_of_one_case_or_group_nothing_can_be_drawn(found):
    with pytest.raises(PredictionsError, match='leave the group out'):
        Resampling(found, 10, 0)


def test_memory_is_bounded():
    sizes = [c.size for c in Resampling(of_classes(3000), 500, seed=0).batches()]
    assert len(sizes) > 1
    assert max(sizes) <= 1 << 18


values = arrays(np.float64, st.integers(1, 200), elements=st.floats(-1, 1))


def test_the_interval_lies_between_quantiles():
    drawn = np.random.default_rng(0).normal(size=999)
    low, high = percentile_interval(drawn, 0.9)
    assert (drawn < low).mean() == pytest.approx(0.05, abs=1e-3)
    assert (drawn > high).mean() == pytest.approx(0.05, abs=1e-3)


def test_undefined_values_are_left_out():
    drawn = np.random.default_rng(0).normal(size=100)
    more = np.insert(drawn, [0, 50, 100], np.nan)
    assert percentile_interval(more, 0.95) == percentile_interval(drawn, 0.95)
    assert two_sided_p(more) == two_sided_p(drawn)
    nothing = np.full(5, np.nan)
    assert np.isnan([*percentile_interval(nothing, 0.95), two_sided_p(nothing)]).all()


@pytest.mark.parametrize(
    ('differences', 'expected'),
    [
        ([0.0] * 99, 1.0),
        ([1.0] * 99, 0.02),
        ([-1.0] * 99, 0.02),
        ([-1.0] * 4 + [1.0] * 95, 0.1),
        ([-1.0] * 2 + [0.0] * 2 + [1.0] * 95, 0.1),
        ([-1.0] * 50 + [1.0] * 49, 1.0),
        ([1.0], 1.0),
    ],
)
def test_p_values_by_hand(differences, expected):
    assert two_sided_p(np.array(differences)) == pytest.approx(expected)


@given(values)
def test_p_is_a_probability_that_takes_no_side(differences):
    p = two_sided_p(differences)
    assert 0 < p <= 1
    assert p == two_sided_p(-differences)


@given(values)
def test_p_agrees_with_the_interval(differences):
    low, high = percentile_interval(differences, 0.95)
    p = two_sided_p(differences)
    # Up to one difference on either side, and the one that is added.
    slack = 4 / (len(differences) + 1)
    if low > 0 or high < 0:
        assert p <= 0.05 + slack
    if low < 0 < high:
        assert p >= 0.05 - slack
