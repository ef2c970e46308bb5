from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ff_mm.weight_space.plane import Plane

SEEDS = st.integers(0, 2**32 - 1)


def distances(models):
    return np.linalg.norm(models[:, None] - models[None], axis=-1)


def basis(models):
    """The orthonormal basis of Garipov et al. 2018, by hand."""
    u = models[1] - models[0]
    v = models[2] - models[0]
    v = v - (v @ u) / (u @ u) * u
    return u / np.linalg.norm(u), v / np.linalg.norm(v)


@given(SEEDS)
def test_the_models_lie_where_the_plane_says(seed):
    models = np.random.default_rng(seed).normal(size=(3, 50))
    plane = Plane.through(distances(models))
    u, v = basis(models)
    for (x, y), model in zip(plane.models, models, strict=True):
        np.testing.assert_allclose(models[0] + x * u + y * v, model, atol=1e-9)


@given(SEEDS, st.floats(-5, 5), st.floats(-5, 5))
def test_a_point_is_the_combination_that_the_coefficients_say(seed, x, y):
    models = np.random.default_rng(seed).normal(size=(3, 50))
    plane = Plane.through(distances(models))
    u, v = basis(models)
    coefficients = plane.coefficients(x, y)
    assert sum(coefficients) == pytest.approx(1)
    np.testing.assert_allclose(
        coefficients @ models, models[0] + x * u + y * v, atol=1e-8
    )


def test_at_the_models_the_coefficients_are_exact():
    models = np.random.default_rng(0).normal(size=(3, 9))
    plane = Plane.through(distances(models))
    found = [plane.coefficients(x, y) for x, y in plane.models]
    np.testing.assert_allclose(found, np.eye(3), atol=1e-12)


@given(SEEDS)
def test_others_are_projected_and_their_distance_is_told(seed):
    models = np.random.default_rng(seed).normal(size=(4, 20))
    plane = Plane.through(distances(models)[:3, :3])
    x, y, off = plane.project(distances(models)[3, :3])
    u, v = basis(models)
    foot = models[0] + x * u + y * v
    assert off == pytest.approx(np.linalg.norm(models[3] - foot), rel=1e-6)
    assert abs((models[3] - foot) @ u) < 1e-8
    assert abs((models[3] - foot) @ v) < 1e-8


def test_the_middle_of_the_three_lies_in_the_plane():
    models = np.random.default_rng(0).normal(size=(3, 20))
    every = np.vstack([models, models.mean(0)])
    plane = Plane.through(distances(every)[:3, :3])
    x, y, off = plane.project(distances(every)[3, :3])
    np.testing.assert_allclose((x, y), np.mean(plane.models, axis=0), atol=1e-9)
    assert off == 0


def test_a_soup_of_the_three_that_was_written_lies_in_the_plane_and_others_do_not():
    random = np.random.default_rng(0)
    models = 100 + random.normal(size=(3, 2000))
    rounded = models.mean(0).astype(np.float32)
    every = np.vstack(
        [models, rounded, models.mean(0) + 0.01 * random.normal(size=2000)]
    )
    plane = Plane.through(distances(every)[:3, :3])
    assert plane.project(distances(every)[3, :3])[2] == 0
    assert plane.project(distances(every)[4, :3])[2] == pytest.approx(0.45, abs=0.05)


@given(SEEDS, st.floats(-2, 2))
def test_models_on_a_line_are_refused(seed, share):
    ends = np.random.default_rng(seed).normal(size=(2, 20))
    third = share * ends[0] + (1 - share) * ends[1]
    with pytest.raises(ValueError, match=r'a, b, c lie on one line'):
        Plane.through(distances(np.vstack([ends, third])), 'abc')


def test_equal_models_are_refused():
    with pytest.raises(ValueError, match='on one line'):
        Plane.through(np.zeros((3, 3)))


@given(SEEDS, st.integers(3, 30), st.floats(0, 2))
def test_a_grid_goes_around_the_models_by_the_margin(seed, points, margin):
    models = np.random.default_rng(seed).normal(size=(3, 20))
    plane = Plane.through(distances(models))
    xs, ys = plane.grid(points, margin)
    assume(plane.third[1] > 1e-3)
    at = np.array(plane.models)
    extent = at.max(0) - at.min(0)
    for axis, found in enumerate((xs, ys)):
        assert len(found) == points
        assert found[0] == pytest.approx(at[:, axis].min() - margin * extent[axis])
        assert found[-1] == pytest.approx(at[:, axis].max() + margin * extent[axis])


def test_a_quadratic_loss_on_the_grid_is_the_analytic_one():
    """A bowl around any centre, seen on the plane, is a paraboloid of the plane."""
    random = np.random.default_rng(3)
    models, centre = random.normal(size=(3, 30)), random.normal(size=30)
    plane = Plane.through(distances(models))
    cx, cy, off = plane.project(np.linalg.norm(models - centre, axis=1))
    xs, ys = plane.grid(7, 0.3)
    for x in xs:
        for y in ys:
            weights = np.array(plane.coefficients(x, y)) @ models
            loss = ((weights - centre) ** 2).sum()
            analytic = (x - cx) ** 2 + (y - cy) ** 2 + off**2
            assert loss == pytest.approx(analytic)
