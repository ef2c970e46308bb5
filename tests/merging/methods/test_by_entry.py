"""Merging entry by entry: what every method that is no mean stands on."""

from __future__ import annotations

import pytest
import torch

from ff_mm.errors import FFMMError
from ff_mm.merging import Ingredient
from ff_mm.merging.methods.by_entry import by_entry, mean_of

FIRST = {
    'w': torch.tensor([1.0, -0.0], dtype=torch.float16),
    'count': torch.tensor(7),
    'bn.running_var': torch.tensor([0.4]),
    'z': torch.tensor([1 + 2j]),
}
SECOND = {
    'w': torch.tensor([3.0, -0.0], dtype=torch.float16),
    'count': torch.tensor(9),
    'bn.running_var': torch.tensor([0.2]),
    'z': torch.tensor([3 - 2j]),
}


def members(*models):
    return [Ingredient(f'm{i}', lambda m=m: m) for i, m in enumerate(models)]


def mean(key, values, weights):
    return mean_of(values, weights)


def test_entries_keep_their_kind_and_what_is_no_number_is_the_first_members():
    merged = by_entry(members(FIRST, SECOND), [1.0, 3.0], mean)
    assert list(merged) == list(FIRST)
    assert {k: v.dtype for k, v in merged.items()} == {
        k: v.dtype for k, v in FIRST.items()
    }
    assert merged['w'].tolist() == [2.5, -0.0] and merged['count'] == 7
    assert merged['w'][1].signbit()
    assert merged['z'].tolist() == [2.5 - 1j]


def test_no_method_gives_a_negative_variance():
    def away_from_the_mean(key, values, weights):
        return values[0] * 10 - values[1] * 100

    merged = by_entry(members(FIRST, SECOND), [1.0, 1.0], away_from_the_mean)
    assert merged['bn.running_var'] == pytest.approx(0.3)
    merged = by_entry(members(FIRST, SECOND), [2.0, -1.0], away_from_the_mean)
    assert merged['bn.running_var'] == pytest.approx(0.3)


def test_other_architectures_and_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r'm1 lacks keys \(1\).*m0: z'):
        by_entry(
            members(FIRST, {k: v for k, v in SECOND.items() if k != 'z'}), [1, 1], mean
        )
    with pytest.raises(FFMMError, match="'w' of the merged model is not finite"):
        by_entry(
            members(FIRST, SECOND), [1.0, 1.0], lambda key, values, w: values[0] / 0
        )
