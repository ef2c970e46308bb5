from __future__ import annotations

import pytest
import torch

from ff_mm.merging import Ingredient
from ff_mm.weight_space.direction import FilterNormalizedDirection, step


def state():
    random = torch.Generator().manual_seed(7)
    weights = {
        'conv.weight': 3 * torch.randn(6, 4, 3, 3, generator=random),
        'fc.weight': torch.randn(5, 6, generator=random),
        'fc.bias': torch.randn(5, generator=random),
        'bn.running_mean': torch.randn(6, generator=random),
        'bn.num_batches_tracked': torch.tensor(3),
    }
    weights['conv.weight'][2] = 0
    return weights


@pytest.fixture
def centre():
    return Ingredient('best', state)


def test_each_filter_is_as_long_as_the_model_s(centre):
    direction = FilterNormalizedDirection(centre, 0).weights
    assert set(direction) == {'conv.weight', 'fc.weight'}
    for key, value in direction.items():
        own = state()[key].flatten(1).norm(dim=1)
        torch.testing.assert_close(value.flatten(1).norm(dim=1), own)
        assert not torch.allclose(value, state()[key])


def test_seeds(centre):
    first, again, other = (
        FilterNormalizedDirection(centre, seed).weights['fc.weight']
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_only_parameters_move_and_what_is_infinite_stays(centre):
    only = FilterNormalizedDirection(centre, 0, ['fc.weight', 'fc.bias']).weights
    assert set(only) == {'fc.weight'}
    masked = Ingredient('m', lambda: dict(mask=torch.tensor([[0.0, -torch.inf]])))
    at = step([FilterNormalizedDirection(masked, 0)], (0.5,)).load()
    assert at['mask'].tolist() == [[0, -torch.inf]]


def test_steps_are_taken_from_the_model(centre):
    directions = [FilterNormalizedDirection(centre, seed) for seed in (0, 1)]
    at = step(directions, (0.5, -2.0))
    found = at.load()
    for key, value in state().items():
        expected = value
        if key in directions[0].weights:
            one, two = (d.weights[key] for d in directions)
            expected = value + 0.5 * one - 2 * two
        torch.testing.assert_close(found[key], expected)
    assert centre.load()['fc.weight'].equal(state()['fc.weight'])


def test_no_step_is_the_model_bit_for_bit_and_has_its_recipe(centre):
    at = step([FilterNormalizedDirection(centre, 0)], (0.0,))
    assert at.recipe == {'best': 1.0}
    out = {key: torch.empty_like(value) for key, value in state().items()}
    assert at.load(out) is out
    for key, value in state().items():
        assert torch.equal(out[key], value)


def test_recipes_tell_seeds_and_lengths_apart(centre):
    one, two = (FilterNormalizedDirection(centre, seed) for seed in (0, 1))
    recipes = [
        step([one, two], place).recipe
        for place in [(0.5, 0), (0, 0.5), (0.5, 0.5), (-0.5, 0.5)]
    ]
    assert all(a != b for i, a in enumerate(recipes) for b in recipes[:i])
