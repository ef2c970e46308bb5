from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ff_mm.comparison.resampling import percentile_interval, two_sided_p

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
