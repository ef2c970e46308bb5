from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.merging.mean import RunningMean

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WEIGHTS = st.floats(1e-3, 1e3)


def model(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {
        'w': torch.randn(3, 4, generator=generator, dtype=torch.float64).to(dtype),
        'n': torch.tensor(seed),
        'mask': torch.tensor([bool(seed % 2)]),
    }


def mean_of(models, weights=None):
    mean = RunningMean()
    for m, weight in zip(models, weights or [1.0] * len(models), strict=True):
        mean.add(m, weight)
    return mean.mean()


def same_bits(a, b):
    return list(a) == list(b) and all(
        a[key].dtype == b[key].dtype
        and a[key].numpy(force=True).tobytes() == b[key].numpy(force=True).tobytes()
        for key in a
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=True), min_size=1, max_size=6),
    st.lists(WEIGHTS, min_size=1, max_size=50),
    st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_the_mean_of_equal_models_is_that_model(values, weights, dtype):
    m = {'w': torch.tensor(values, dtype=torch.float64).to(dtype)}
    assert same_bits(mean_of([m] * len(weights), weights), m)


@pytest.mark.parametrize('dtype', FLOATS)
def test_the_mean_of_48_equal_models_is_that_model(dtype):
    m = {'w': torch.cat([torch.randn(1000), torch.tensor([-0.0, 1e-42, -math.inf])])}
    m['w'] = m['w'].to(dtype)
    mean = mean_of([m] * 48)
    assert mean['w'].dtype == dtype
    integers = torch.int16 if dtype.itemsize == 2 else torch.int32
    assert torch.equal(mean['w'].view(integers), m['w'].view(integers))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), WEIGHTS), min_size=1, max_size=12))
def test_it_is_the_weighted_mean_of_numpy(drawn):
    models = [model(seed) for seed, _ in drawn]
    weights = [weight for _, weight in drawn]
    expected = np.average(
        [m['w'].double().numpy() for m in models], axis=0, weights=weights
    )
    found = mean_of(models, weights)['w']
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-7)


def test_sums_do_not_lose_small_parts():
    """In single precision the mean of these would be 1."""
    models = [{'w': torch.tensor([1.0])}] + [{'w': torch.tensor([1 + 2e-7])}] * 9999
    wide = [{'w': m['w'].double()} for m in models]
    assert mean_of(models)['w'].item() == pytest.approx(1 + 2e-7, abs=6e-8)
    exact = np.mean([m['w'].item() for m in wide])
    assert mean_of(wide)['w'].item() == pytest.approx(exact, abs=1e-14)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(8)))
def test_the_order_matters_to_rounding_at_most(order):
    a = mean_of([model(seed, torch.float64) for seed in range(8)])['w']
    b = mean_of([model(seed, torch.float64) for seed in order])['w']
    torch.testing.assert_close(a, b, rtol=0, atol=1e-15)


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('count', [0, 1, 5])
def test_mean_with_is_add_and_mean_and_adds_nothing(dtype, count):
    models = [model(seed, dtype) for seed in range(count + 1)]
    mean = RunningMean()
    for m in models[:-1]:
        mean.add(m)
    before = mean.mean() if count else None
    ahead = mean.mean_with(models[-1], 2.5)
    assert before is None or torch.equal(before['w'], mean.mean()['w'])
    mean.add(models[-1], 2.5)
    after = mean.mean()
    assert all(torch.equal(ahead[key], after[key]) for key in after)
    assert ahead['w'].dtype == dtype


def test_integers_and_booleans_are_the_first_ones():
    mean = mean_of([model(3), model(4), model(8)])
    assert mean['n'].dtype == torch.int64 and mean['n'] == 3
    assert mean['mask'].dtype == torch.bool and mean['mask'].item() is True


def test_complex_entries_are_averaged():
    a, b = torch.tensor([1 + 2j]), torch.tensor([3 - 2j])
    mean = mean_of([{'w': a}, {'w': b}])['w']
    assert mean.dtype == a.dtype and mean.item() == 2 + 0j


def test_models_are_neither_kept_nor_changed():
    a, b = model(1), model(2)
    mean = RunningMean()
    mean.add(a)
    expected = mean.mean()
    a['w'].zero_()
    a['n'].zero_()
    assert same_bits(mean.mean(), expected)
    mean.add(b)
    assert same_bits(b, model(2))
    result = mean.mean()
    result['w'].zero_()
    result['n'].zero_()
    assert mean.mean()['w'].any() and mean.mean()['n'] == 1


def test_parameters_leave_no_graph():
    parameter = {'w': torch.nn.Parameter(torch.ones(2))}
    mean = mean_of([parameter, parameter])
    assert not mean['w'].requires_grad


def test_pop_is_the_mean_and_an_end():
    mean = RunningMean()
    for seed in range(3):
        mean.add(model(seed))
    expected = mean.mean()
    assert same_bits(mean.pop(), expected)
    with pytest.raises(ValueError, match='no models'):
        mean.mean()
    mean.add({'other': torch.ones(1)}, 5)
    mean.add({'other': torch.zeros(1)}, 5)
    assert mean.pop()['other'] == 0.5


@pytest.mark.parametrize('take', ['mean', 'pop'])
def test_the_mean_of_nothing(take):
    with pytest.raises(ValueError, match='no models'):
        getattr(RunningMean(), take)()


@pytest.mark.parametrize('weight', [0, -1, math.nan, math.inf])
def test_weights_are_positive(weight):
    with pytest.raises(ValueError, match='positive and finite'):
        RunningMean().add(model(0), weight)


@pytest.mark.parametrize('method', ['add', 'mean_with'])
@pytest.mark.parametrize(
    ('other', 'match'),
    [
        ({'w': torch.ones(2)}, r'lacks keys .*: b'),
        ({'w': torch.ones(2), 'b': torch.ones(1), 'c': torch.ones(1)}, 'extra .*: c'),
        ({'w': torch.ones(1), 'b': torch.ones(1)}, r'shape .*: w \(1,\)'),
        ({'w': torch.ones(2).half(), 'b': torch.ones(1)}, 'dtype .*: w'),
        ({}, 'without entries'),
    ],
)
def test_a_model_that_differs_is_refused_and_changes_nothing(other, match, method):
    mean = RunningMean()
    mean.add({'w': torch.ones(2), 'b': torch.ones(1)})
    with pytest.raises(ValueError, match=match):
        getattr(mean, method)(other)
    assert torch.equal(mean.mean()['w'], torch.ones(2))
    mean.add({'w': torch.zeros(2), 'b': torch.ones(1)})
    assert torch.equal(mean.mean()['w'], torch.full((2,), 0.5))
