"""Local minima with their depth, and roughness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from ff_mm.analysis.loss_surface.minima import Minimum, count_deeper, minima, roughness

# Whole numbers, so that sums are exact; few of them, so that there are plateaus.
SURFACES = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
    elements=st.integers(-4, 4).map(float),
)


def _found(values):
    return [(m.row, m.column, m.value, m.depth) for m in minima(values)]


def test_depths_of_a_line_are_those_counted_by_hand():
    # From 1 one climbs to 4 to get to 0; from 3 to 5 to get to 1.
    assert _found([6, 3, 5, 1, 4, 0, 9]) == [
        (0, 5, 0, 9),
        (0, 3, 1, 3),
        (0, 1, 3, 2),
    ]


def test_a_way_around_a_hill_is_what_counts():
    surface = np.array(
        [
            [9, 9, 9, 9, 9],
            [9, 1, 8, 0, 9],
            [9, 2, 8, 2, 9],
            [9, 9, 3, 9, 9],
        ]
    )
    # Diagonal neighbours count: 2, 3, 2.
    assert _found(surface) == [(1, 3, 0, 9), (1, 1, 1, 2)]


def test_a_plateau_is_one_minimum_at_its_centre():
    assert _found([5, 1, 1, 1, 5]) == [(0, 2, 1, 4)]
    # Neighbours across a corner are of one plateau.
    assert _found([[1, 5, 5], [5, 1, 5], [5, 5, 1]]) == [(1, 1, 1, 4)]
    # One that falls off to the side is none.
    assert _found([5, 1, 1, 0, 5]) == [(0, 3, 0, 5)]
    # Of two of one value the first is the lower.
    assert _found([1, 5, 1, 2]) == [(0, 0, 1, 4), (0, 2, 1, 4)]


def test_what_has_no_value_is_a_wall_as_high_as_the_top():
    assert _found([2, np.nan, 1, 4]) == [(0, 2, 1, 3), (0, 0, 2, 2)]
    assert (
        _found([2, np.inf, 1, 4]) == _found([2, -np.inf, 1, 4]) == _found([2, 4, 1, 4])
    )
    assert roughness([2, np.nan, 1, 4]) == roughness([2, 4, 1, 4])
    for nothing in ([], [[]], [np.nan, np.inf]):
        assert minima(nothing) == []
        assert roughness(nothing) == 0


def test_a_flat_surface_has_one_minimum_of_no_depth():
    flat = np.ones((3, 3))
    assert _found(flat) == [(1, 1, 1, 0)]
    assert roughness(flat) == 0
    assert count_deeper(minima(flat), 0) == 0


def test_counts_minima_by_their_share_of_the_range():
    found = minima([6, 3, 5, 1, 4, 0, 10])
    assert [count_deeper(found, share) for share in (0, 0.2, 0.29, 0.3, 1)] == [
        3,
        2,
        2,
        1,
        0,
    ]
    assert count_deeper([], 0) == 0


def test_more_than_two_dimensions_are_an_error():
    with pytest.raises(ValueError, match='two dimensions, got 3'):
        minima(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match='two dimensions, got 3'):
        roughness(np.zeros((2, 2, 2)))


@settings(deadline=None)
@given(SURFACES)
def test_minima_are_the_cells_that_brute_force_finds(surface):
    """Depth by trying all heights of water, over which two minima are connected."""
    found = minima(surface)
    assert found[0].value == surface.min()
    assert found[0].depth == np.ptp(surface)
    for index, minimum in enumerate(found):
        assert surface[minimum.row, minimum.column] == minimum.value
        lower = [
            other
            for i, other in enumerate(found)
            if i != index
            and (
                other.value < minimum.value
                or (other.value == minimum.value and other.depth > minimum.depth)
            )
        ]
        if lower and index:
            heights = [_pass(surface, minimum, other) for other in lower]
            assert minimum.depth == min(heights) - minimum.value


def _pass(surface, a: Minimum, b: Minimum) -> float:
    """The lowest height at which a way leads from one to the other."""
    for height in np.unique(surface):
        lakes, _ = ndimage.label(surface <= height, np.ones((3, 3)))
        if lakes[a.row, a.column] == lakes[b.row, b.column] > 0:
            return height
    raise AssertionError


@settings(deadline=None)
@given(SURFACES, st.sampled_from([0.5, 2.0, 1024.0]), st.integers(-8, 8))
def test_figures_follow_scale_and_shift(surface, scale, shift):
    moved = surface * scale + shift
    assert roughness(moved) == pytest.approx(roughness(surface), abs=1e-12)
    assert [m.depth for m in minima(moved)] == [
        m.depth * scale for m in minima(surface)
    ]


@settings(deadline=None)
@given(SURFACES)
def test_figures_do_not_depend_on_which_way_is_up(surface):
    for turned in (surface[::-1], surface[:, ::-1], surface.T):
        assert roughness(turned) == pytest.approx(roughness(surface), abs=1e-12)
        assert sorted(m.depth for m in minima(turned)) == sorted(
            m.depth for m in minima(surface)
        )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.integers(3, 12))
def test_bowls_are_smooth_and_have_one_minimum_on_each_line(seed, rows, columns):
    draw = np.random.default_rng(seed)
    factor = draw.normal(size=(2, 2))
    hessian = factor @ factor.T + 0.1 * np.eye(2)
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    points = np.stack([x, y], -1) - draw.uniform(-1, 1, 2)
    bowl = np.einsum('rci,ij,rcj->rc', points, hessian, points)
    assert roughness(bowl) == pytest.approx(0, abs=1e-12)
    for line in (*bowl, *bowl.T):
        assert count_deeper(minima(line), 1e-9) == 1


@settings(deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(1, 10))
def test_a_bump_in_a_bowl_is_rough(row, column, height):
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    bowl = x**2 + y**2
    bowl[row, column] += height
    assert roughness(bowl) > 0


def test_roughness_is_what_the_definition_says():
    # Rows: a hill of 2 up and 2 down, and a flat one; columns: three slopes.
    assert roughness([[0, 2, 0], [0, 0, 0]]) == pytest.approx(
        (4 + 0 + 0 + 0 + 0) / 5 / 2
    )
    assert roughness([0, 1, 0]) == 2
    assert roughness([[0, 1, 0]]) == roughness([[0], [1], [0]]) == 2
    assert roughness([3]) == 0


def test_large_values_do_not_overflow():
    assert roughness([0, 1e308, 0, 1e308, 0]) == pytest.approx(4)
