"""What can be the origin of ingredients, by where it lies."""

from __future__ import annotations

import pytest
import torch

from ff_mm.errors import ConfigError
from ff_mm.merging import Ingredient, write_checkpoint
from ff_mm.merging.origin import too_far
from ff_mm.merging.pool import read_pool


def model(*values):
    weights = {'fc.weight': torch.tensor(values), 'n': torch.tensor(3)}
    # Of neither of these is there a distance.
    weights['bn.running_var'] = torch.rand(2) * 1e6
    weights['mask'] = torch.tensor([[0.0, -torch.inf]])
    return Ingredient(str(values), lambda: weights)


@pytest.mark.parametrize(
    ('origin', 'ingredients', 'expected'),
    [
        ((0.0, 0.0), [(1.0, 0.0), (0.0, 1.0)], None),
        ((9.0, 0.0), [(1.0, 0.0), (0.0, 1.0)], (8.0, 2**0.5)),
        # Near to one of them, however far from the others.
        ((0.0, 0.0), [(1.0, 0.0), (9.0, 0.0), (9.5, 0.0)], None),
        # The first is in the middle, so that the pairs decide.
        ((0.0, 3.0), [(0.0, 0.0), (2.0, 0.0), (-2.0, 0.0)], None),
        ((0.0, 5.0), [(0.0, 0.0), (2.0, 0.0), (-2.0, 0.0)], (5.0, 4.0)),
        # These say nothing.
        ((9.0, 0.0), [(1.0, 0.0)], None),
        ((9.0, 0.0), [(1.0, 0.0), (1.0, 0.0)], None),
    ],
)
def test_an_origin_is_no_farther_than_ingredients_are_apart(
    origin, ingredients, expected
):
    found = too_far(model(*origin), [model(*values) for values in ingredients])
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    'given', [3, dict(check=False), dict(file='nowhere.pth'), dict(file='x', far=True)]
)
def test_what_is_no_origin_is_a_line(tmp_path, given):
    for number in range(2):
        write_checkpoint(
            dict(state_dict={'w': torch.ones(1) * number}), tmp_path / f'{number}.pth'
        )
    with pytest.raises(ConfigError, match=r'origin=.*no such file; expected'):
        read_pool(str(tmp_path / '*.pth'), given)
