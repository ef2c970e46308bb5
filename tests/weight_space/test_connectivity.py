from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_mm.errors import ConfigError
from ff_mm.weight_space.connectivity import (
    barrier,
    barrier_matrix,
    barrier_tree,
    basins,
    lambdas,
)

VALUES = st.lists(st.floats(-100, 100), min_size=3, max_size=12)


class TestLambdas:
    def test_nine_as_in_the_paper_both_ends_exact(self):
        assert lambdas(9).tolist() == [i / 8 for i in range(9)]

    @pytest.mark.parametrize('points', [2, 0, -1, 2.5, '9', None])
    def test_too_few_or_no_number(self, points):
        with pytest.raises(ConfigError, match=r'points=.*3 or more'):
            lambdas(points)


class TestBarrier:
    def test_a_bump_on_level_ground(self):
        assert barrier([1, 1, 4, 1, 1], 'less') == 3

    def test_it_is_taken_from_the_line_between_the_ends(self):
        # At 1/4 the line is at 2: 5 - 2 is more than 5 - 3 at the middle would be.
        assert barrier([1, 5, 3, 4, 5], 'less') == 3

    def test_of_a_metric_it_is_the_drop(self):
        assert barrier([0.9, 0.5, 0.7], 'greater') == pytest.approx(0.3)

    def test_a_quadratic_loss_has_the_analytic_barrier(self):
        # f(x) = -x ** 2 between -1 and 1: 0 at the middle, -1 at both ends.
        x = 2 * lambdas(9) - 1
        assert barrier(-(x**2), 'less') == 1
        assert barrier(x**2, 'less') == 0
        # f(x) = -x ** 2 + 3 * x: a slope changes nothing.
        assert barrier(-(x**2) + 3 * x, 'less') == pytest.approx(1)

    @given(VALUES, st.floats(-50, 50), st.floats(-50, 50))
    def test_a_slope_changes_nothing(self, values, start, rise):
        tilted = np.array(values) + start + rise * lambdas(len(values))
        expected = barrier(values, 'less')
        assert barrier(tilted, 'less') == pytest.approx(expected, abs=1e-9)

    @given(VALUES)
    def test_it_is_never_negative_and_the_same_from_both_ends(self, values):
        for rule in ('less', 'greater'):
            height = barrier(values, rule)
            assert height >= 0
            assert barrier(values[::-1], rule) == pytest.approx(height, abs=1e-9)
        assert barrier([-v for v in values], 'less') == barrier(values, 'greater')

    def test_what_is_not_finite(self):
        assert barrier([1, math.nan, 1], 'less') == math.inf
        assert barrier([1, None, 1], 'greater') == math.inf
        assert barrier([1, math.inf, 1], 'less') == math.inf
        for end in (math.nan, math.inf, None):
            assert math.isnan(barrier([end, 1, 1], 'less'))
            assert math.isnan(barrier([1, 2e38, end], 'greater'))


def blocks(*sizes, within=0.01, between=1.0):
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    matrix = np.where(numbers[:, None] == numbers, within, between)
    np.fill_diagonal(matrix, 0)
    return matrix


class TestMatrix:
    def test_symmetric_and_nan_where_there_is_no_pair(self):
        matrix = barrier_matrix('abc', [('c', 'a')], [2.0])
        assert matrix[0, 2] == matrix[2, 0] == 2
        assert np.isnan(matrix[0, 1]) and (np.diag(matrix) == 0).all()

    def test_a_tree_needs_all_pairs(self):
        with pytest.raises(ValueError, match='NaN'):
            barrier_tree(barrier_matrix('abc', [('c', 'a')], [2.0]))

    def test_another_linkage(self):
        with pytest.raises(ConfigError, match=r"linkage='ward'.*complete"):
            barrier_tree(blocks(2, 2), 'ward')


class TestBasins:
    @pytest.mark.parametrize('linkage', ['complete', 'average', 'single'])
    def test_blocks_are_found_in_the_order_in_which_they_occur(self, linkage):
        matrix = blocks(2, 3, 1)
        order = [3, 0, 5, 1, 4, 2]
        shuffled = matrix[np.ix_(order, order)]
        found = basins(shuffled, threshold=0.1, linkage=linkage)
        assert found == [1, 2, 3, 2, 1, 1]
        assert basins(shuffled, count=3, linkage=linkage) == found

    def test_infinite_barriers_keep_apart(self):
        assert basins(blocks(2, 2, between=math.inf), threshold=1e6) == [1, 1, 2, 2]

    def test_one_model(self):
        assert basins(np.zeros((1, 1)), threshold=0) == [1]

    def test_a_chain_is_one_basin_only_with_single_linkage(self):
        chain = np.abs(np.subtract.outer(np.arange(4.0), np.arange(4)))
        assert len(set(basins(chain, threshold=1, linkage='single'))) == 1
        assert len(set(basins(chain, threshold=1))) == 2

    @given(st.integers(2, 8), st.floats(0, 10), st.randoms(use_true_random=False))
    def test_no_barrier_within_a_basin_is_above_the_threshold(
        self, number, threshold, random
    ):
        matrix = np.zeros((number, number))
        for a, b in combinations(range(number), 2):
            matrix[a, b] = matrix[b, a] = random.choice([random.uniform(0, 10), 0, 10])
        found = np.array(basins(matrix, threshold=threshold))
        together = found[:, None] == found
        assert (matrix[together] <= threshold + 1e-12).all()
        # Numbers are 1, 2, ... as they occur.
        assert list(dict.fromkeys(found)) == list(range(1, found.max() + 1))

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({}, 'give one of threshold'),
            (dict(threshold=1, count=2), 'give one of threshold'),
            (dict(threshold=-1), r'threshold=-1.*0 or more'),
            (dict(threshold='a'), 'threshold'),
            (dict(count=0), 'count=0'),
            (dict(count=1.5), r'count=1\.5'),
        ],
    )
    def test_mistakes(self, options, message):
        with pytest.raises(ConfigError, match=message):
            basins(blocks(2, 2), **options)
