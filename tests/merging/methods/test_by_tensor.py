"""A mean with weights of its own for each tensor."""

from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError
from ff_mm.merging import Ingredient, Soup
from ff_mm.merging.merge import Merge


def model(name, v, w, mean=0.0, count=1):
    weights = dict(
        v=torch.tensor([v]),
        w=torch.tensor([w, w]),
        running_mean=torch.tensor([mean]),
        count=torch.tensor(count),
    )
    return Ingredient(name, lambda: dict(weights))


MEMBERS = (model('a', 0.0, 1.0, 0.0, 7), model('b', 4.0, 5.0, 8.0, 9))


def test_each_tensor_by_its_shares_and_the_rest_by_weight():
    merge = Merge('by_tensor', dict(shares=dict(v=[0.25, 0.75], w=[0.5, 0.5])))
    soup = Soup('s', 'learned', MEMBERS, merge=merge, weights=(0.375, 0.625))
    found = {key: value.tolist() for key, value in soup.load().items()}
    assert found == dict(v=[3.0], w=[3.0, 3.0], running_mean=[5.0], count=7)
    other = Merge('by_tensor', dict(shares=dict(v=[0.25, 0.75], w=[0.4, 0.6])))
    assert soup.recipe != other.recipe(MEMBERS, (0.375, 0.625))


def test_without_shares_it_is_the_mean():
    found = Merge('by_tensor').load(MEMBERS, (1, 3))
    told = {key: value.tolist() for key, value in found.items()}
    assert told == dict(v=[3.0], w=[4.0, 4.0], running_mean=[6.0], count=7)


def test_one_alone_is_given_back_whatever_is_in_it():
    one = model('a', float('-inf'), 1.0)
    found = Merge('by_tensor').load([one], [1.0])
    assert all(torch.equal(found[key], value) for key, value in one.load().items())


@pytest.mark.parametrize('row', [[1.0], [1.0, 0.0], [1.0, -1.0]])
def test_bad_shares(row):
    with pytest.raises(ConfigError, match='expected 2 positive numbers'):
        Merge('by_tensor', dict(shares=dict(v=row))).load(MEMBERS, (1, 1))
