"""Which values a plot shows."""

from __future__ import annotations

import numpy as np
import pytest

from ff_mm.analysis.value_range import ValueRange, fixed_range, value_range


def test_usual_values_are_all_shown():
    x = np.linspace(-1, 1, 21)
    bowl = x[:, None] ** 2 + x**2
    assert value_range(bowl, 'less', 5) == ValueRange(0, 2, 'neither')
    assert value_range(-bowl, 'greater', 5) == ValueRange(-2, 0, 'neither')


@pytest.mark.parametrize('beyond', [1e3, np.inf])
def test_what_is_beyond_measure_is_left_out_on_the_worse_side(beyond):
    values = [1, 1.5, 2, 3, 4, beyond]
    assert value_range(values, 'less', 5) == ValueRange(1, 4, 'max')
    assert value_range(np.negative(values), 'greater', 5) == ValueRange(-4, -1, 'min')


def test_the_good_part_is_shown_though_most_is_beyond():
    values = [1, *np.linspace(1.1, 1.5, 9), 50, *[1e6] * 11]
    assert value_range(values, 'less', 5) == ValueRange(1, 1.5, 'max')


def test_many_equal_to_the_best_do_not_hide_the_others():
    assert value_range([0] * 50 + [0.1, 0.2, 0.3], 'less', 10).high == 0.3


@pytest.mark.parametrize(
    ('values', 'low', 'high'),
    [([0.3], 0, 0.3), ([-2, -2], -2, 0), ([0, 0], 0, 1), ([], 0, 1), ([np.nan], 0, 1)],
)
def test_equal_values_and_none_make_a_range(values, low, high):
    assert value_range(values, 'less', 5) == ValueRange(low, high, 'neither')


def test_two_values_are_both_shown():
    assert value_range([0.1, 5], 'less', 1) == ValueRange(0.1, 5, 'neither')


@pytest.mark.parametrize(
    ('values', 'extend'),
    [([1, 2], 'neither'), ([0, 1], 'min'), ([1, 3], 'max'), ([0, 3, np.nan], 'both')],
)
def test_fixed_limits_say_what_is_beyond_them(values, extend):
    assert fixed_range(values, (1, 2)) == ValueRange(1, 2, extend)
