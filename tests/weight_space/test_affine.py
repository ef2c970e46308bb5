from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ff_mm.merging import Ingredient, RunningMean, Soup
from ff_mm.weight_space.affine import point


def model(seed, variance=None):
    random = torch.Generator().manual_seed(seed)
    variances = torch.rand(3, generator=random) if variance is None else variance
    return {
        'weight': torch.randn(4, 5, generator=random),
        'bn.running_var': torch.as_tensor(variances, dtype=torch.float32),
        'bn.num_batches_tracked': torch.tensor(seed),
        'wide': torch.randn(2, generator=random, dtype=torch.float64),
    }


def ingredients(count):
    names = {f'm{i}': partial(model, i) for i in range(count)}
    return {name: Ingredient(name, read) for name, read in names.items()}


def test_a_model_by_itself_is_that_model_bit_for_bit():
    pool = ingredients(3)
    at = point(pool, {'m0': 0.0, 'm1': 1.0, 'm2': -0.0})
    assert at.recipe == {'m1': 1.0}
    for key, value in at.load().items():
        assert torch.equal(value, pool['m1'].load()[key])


def test_the_middle_is_the_soup_of_the_two_and_has_its_recipe():
    pool = ingredients(2)
    at = point(pool, {'m0': 0.5, 'm1': 0.5})
    soup = Soup('s', 'uniform', tuple(pool.values()))
    assert at.recipe == soup.recipe
    for key, value in soup.load().items():
        assert torch.equal(at.load()[key], value), key


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=4))
def test_any_coefficients_that_add_up_to_one(first):
    shares = [*first, 1 - sum(first)]
    pool = ingredients(len(shares))
    at = point(pool, dict(zip(pool, shares, strict=True))).load()
    for key in ('weight', 'wide'):
        parts = [
            m.load()[key].double() * c
            for m, c in zip(pool.values(), shares, strict=False)
        ]
        torch.testing.assert_close(at[key].double(), sum(parts), rtol=1e-5, atol=1e-5)


def test_it_is_written_into_the_tensors_that_are_given():
    pool = ingredients(2)
    out = {key: torch.empty_like(value) for key, value in model(0).items()}
    at = point(pool, {'m0': 1.5, 'm1': -0.5})
    assert at.load(out) is out
    for key, value in at.load().items():
        assert torch.equal(out[key], value)


def test_coefficients_must_add_up_to_one():
    with pytest.raises(ValueError, match=r"point 'p'.*1\.5, not 1"):
        point(ingredients(2), {'m0': 1.0, 'm1': 0.5}, 'p')


def test_beyond_the_models_no_variance_is_less_than_theirs():
    pool = {
        'a': Ingredient('a', lambda: model(0, variance=[1.0, 4.0, 1.0])),
        'b': Ingredient('b', lambda: model(1, variance=[2.0, 1.0, 1.0])),
    }
    beyond = point(pool, {'a': 3.0, 'b': -2.0}).load()['bn.running_var']
    # 3 * 1 - 2 * 2 would be -1.
    assert beyond.tolist() == [1.0, 10.0, 1.0]
    between = point(pool, {'a': 0.25, 'b': 0.75}).load()['bn.running_var']
    assert between.tolist() == [1.75, 1.75, 1.0]


def test_what_is_infinite_stays_so_beyond_the_models():
    mask = torch.tensor([0.0, -torch.inf])
    pool = {
        name: Ingredient(name, lambda: dict(mask=mask.clone(), w=torch.ones(1)))
        for name in 'ab'
    }
    for share in (0.5, 1.5):
        found = point(pool, {'a': share, 'b': 1 - share}).load()
        assert found['mask'].tolist() == [0, -torch.inf]


def test_a_soup_can_be_an_end():
    pool = ingredients(3)
    soup = Soup('s', 'uniform', (pool['m1'], pool['m2']))
    at = point({'m0': pool['m0'], 's': soup}, {'m0': 0.5, 's': 0.5})
    assert at.recipe == {'m0': 0.5, 'm1': 0.25, 'm2': 0.25}
    mean = RunningMean()
    for name, weight in at.recipe.items():
        mean.add(pool[name].load(), weight)
    torch.testing.assert_close(at.load()['weight'], mean.pop()['weight'])
