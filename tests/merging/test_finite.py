from __future__ import annotations

import pytest
import torch

from ff_mm.merging.finite import not_finite

INF = float('inf')


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ('value', 'what'), [(INF, 'infinite'), (-INF, 'infinite'), (float('nan'), 'NaN')]
)
def test_a_single_value_is_found_and_its_weights_are_named(dtype, value, what):
    good = torch.ones(2, 3, dtype=dtype)
    bad = good.clone()
    bad[1, 2] = value
    assert not_finite({'a': good, 'b.weight': bad}) == f"'b.weight' is {what} somewhere"
    assert not_finite({'a': good, 'n': torch.tensor(7)}) is None


def test_sums_of_large_values_are_no_infinite_weights():
    assert not_finite({'a': torch.full((8,), 6e4, dtype=torch.float16)}) is None


def test_both_signs_of_infinity_are_infinite_and_not_nan():
    assert 'infinite' in not_finite({'w': torch.tensor([INF, -INF])})


def test_masks_are_infinite_by_intent():
    causal = torch.full((3, 3), -INF).triu(1)
    assert not_finite({'text.attn': causal, 'attn_mask': torch.tensor([INF])}) is None
    assert not_finite({'attn_mask': torch.tensor([float('nan')])})


@pytest.mark.parametrize(
    'weights',
    [torch.tensor([0, -INF]), torch.full((2, 2), INF), torch.tensor([[1, -INF]])],
    ids=['a bias', 'plus infinity', 'other values'],
)
def test_what_only_resembles_a_mask_is_none(weights):
    assert not_finite({'w': weights})
