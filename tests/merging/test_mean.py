from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from ff_mm.merging import mean as mean_module
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


def as_bytes(tensor):
    return tensor.detach().contiguous().view(-1).view(torch.uint8)


def same_bits(a, b):
    return list(a) == list(b) and all(
        a[key].dtype == b[key].dtype
        and a[key].shape == b[key].shape
        and torch.equal(as_bytes(a[key]), as_bytes(b[key]))
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
    assert same_bits(mean, m)


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


@pytest.mark.parametrize(
    ('weight', 'match'),
    [
        *((weight, 'positive and finite') for weight in (0, -1, math.nan, math.inf)),
        # So extreme that sums would not be exact.
        *((w, r'between 1e-100 and 1e\+100') for w in (1e-101, 1e101, 5e-324)),
    ],
)
def test_weights_are_positive_and_not_extreme(weight, match):
    with pytest.raises(ValueError, match=match):
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


def test_infinities_and_zeros_keep_their_sign():
    values = [math.inf, -math.inf, 0.0, -0.0, 1.0]
    models = [{'w': torch.tensor(values)}, {'w': torch.tensor([*values[:4], math.inf])}]
    for weights in ([1.0, 1.0], [0.3, 7.0]):
        mean = mean_of(models, weights)['w']
        assert mean.tolist() == [math.inf, -math.inf, 0.0, 0.0, math.inf]
        assert [math.copysign(1, x) for x in mean[2:4].tolist()] == [1, -1]
    opposite = mean_of([{'w': torch.tensor([x])} for x in (math.inf, -math.inf)])
    assert opposite['w'].isnan().item()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_sums_beyond_the_range_of_the_dtype(dtype):
    info = torch.finfo(dtype)
    values = [info.max, -info.max, info.tiny, info.tiny / 4]
    m = {'w': torch.tensor(values, dtype=dtype)}
    for weights in ([1.0] * 100, [1e-90, 1e90, 3.0], [1e-100, 1e100]):
        assert same_bits(mean_of([m] * len(weights), weights), m)


# Blocks


def shapes():
    """Shapes that need to be cut, or put together, in every way that there is."""
    return st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8)


def random_model(shapes, generator, dtype, channels_last=False):
    found = {}
    for i, shape in enumerate(shapes):
        tensor = torch.randn(shape, generator=generator).to(dtype)
        if channels_last and len(shape) == 4:
            tensor = tensor.to(memory_format=torch.channels_last)
        elif channels_last and len(shape) == 2:
            tensor = tensor.t().contiguous().t()
        found[str(i)] = tensor
    return found


@settings(max_examples=80, deadline=None)
@given(
    shapes(),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32]),
    st.integers(1, 60),
    st.booleans(),
)
def test_blocks_of_any_size_and_strides_make_the_same_mean(shapes, dtype, size, last):
    generator = torch.Generator().manual_seed(0)
    models = [random_model(shapes, generator, dtype) for _ in range(3)]
    expected = {
        key: ((models[0][key].double() + models[1][key].double() * 2) / 3).to(dtype)
        for key in models[0]
    }
    whole = RunningMean()
    whole.add(models[0])
    whole.add(models[1], 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mean_module, '_BLOCK', size)
        patch.setattr(mean_module, '_SLAB', 3 * size)
        generator = torch.Generator().manual_seed(0)
        strided = [random_model(shapes, generator, dtype, last) for _ in range(3)]
        mean = RunningMean()
        mean.add(strided[0])
        mean.add(strided[1], 2)
        torch.testing.assert_close(mean.mean(), expected, rtol=0.01, atol=1e-6)
        assert same_bits(mean.mean(), whole.mean())
        out = random_model(shapes, generator, dtype, last)
        strides = {key: tensor.stride() for key, tensor in out.items()}
        assert mean.mean_with(strided[2], 0.7, out=out) is out
        assert same_bits(out, whole.mean_with(models[2], 0.7))
        mean.add(strided[2], 0.7)
        assert same_bits(out, mean.mean(out=random_model(shapes, generator, dtype)))
        again = random_model(shapes, generator, dtype, last)
        assert mean.pop(out=again) is again
        assert same_bits(out, again)
        assert strides == {key: tensor.stride() for key, tensor in again.items()}


def mixed_model(seed):
    generator = torch.Generator().manual_seed(seed)
    return model(seed) | {
        'half': torch.randn(4, generator=generator).half(),
        'double': torch.randn(4, generator=generator, dtype=torch.float64),
        'complex': torch.randn(2, generator=generator, dtype=torch.complex64),
        'parameter': torch.nn.Parameter(torch.randn(2, generator=generator)),
    }


@pytest.mark.parametrize('count', [0, 1, 4])
def test_out_is_filled_and_all_ways_agree(count):
    models = [mixed_model(seed) for seed in range(count + 1)]
    mean = RunningMean()
    for m in models[:-1]:
        mean.add(m)
    outs = [mixed_model(99) for _ in range(3)]
    assert mean.mean_with(models[-1], 1.5, out=outs[0]) is outs[0]
    fresh = mean.mean_with(models[-1], 1.5)
    mean.add(models[-1], 1.5)
    assert mean.mean(out=outs[1]) is outs[1]
    assert mean.pop(out=outs[2]) is outs[2]
    for out in outs:
        assert same_bits(out, fresh)
        assert out['parameter'].requires_grad
    assert outs[0]['n'] == models[0]['n']


@pytest.mark.parametrize('take', ['mean', 'pop', 'mean_with'])
@pytest.mark.parametrize('count', [0, 2])
def test_out_that_does_not_fit_is_refused_and_nothing_is_lost(take, count):
    mean = RunningMean()
    for _ in range(count):
        mean.add(model(1))
    arguments = [model(1)] if take == 'mean_with' else []
    for out in ({'w': torch.zeros(3, 4)}, model(7, torch.float16)):
        before = {key: tensor.clone() for key, tensor in out.items()}
        with pytest.raises(ValueError, match=r'out |no models'):
            getattr(mean, take)(*arguments, out=out)
        assert same_bits(out, before)
    if count:
        assert same_bits(mean.mean(), model(1))


def test_other_orders_of_keys_are_the_same_model():
    a, b = model(1), model(2)
    mean = RunningMean()
    mean.add(a)
    mean.add(dict(reversed(b.items())))
    out = dict(reversed(model(3).items()))
    mean.mean(out=out)
    assert same_bits({key: out[key] for key in a}, mean_of([a, b]))


class Allocations(TorchDispatchMode):
    """The number of elements of the largest new tensor."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        known = {id(t) for t in args} | {id(t) for t in (kwargs or {}).values()}
        views = any(r.alias_info is not None for r in func._schema.returns)
        if isinstance(result, torch.Tensor) and not views and id(result) not in known:
            self.largest = max(self.largest, result.numel())
        return result


@pytest.mark.parametrize('channels_last', [False, True])
def test_nothing_larger_than_a_block_is_allocated(monkeypatch, channels_last):
    monkeypatch.setattr(mean_module, '_BLOCK', 100)
    generator = torch.Generator().manual_seed(0)
    shapes = [(40, 30, 3, 3), (500, 70), (9,)]
    models = [
        random_model(shapes, generator, torch.float32, channels_last) for _ in range(3)
    ]
    mean = RunningMean()
    mean.add(models[0])
    with Allocations() as allocations:
        mean.add(models[1])
        mean.mean_with(models[2], 0.3, out=models[0])
        mean.mean(out=models[0])
        mean.pop(out=models[0])
    assert allocations.largest <= 100
    with Allocations() as allocations:  # else this says nothing
        mean.add(models[0])
    assert allocations.largest > 100
