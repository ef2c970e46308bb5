from __future__ import annotations

import pytest
import torch

from ff_mm.merging.finite import wrong_values

INF = float('inf')


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ('value', 'what'), [(INF, 'infinite'), (-INF, 'infinite'), (float('nan'), 'NaN')]
)
def test_a_single_value_is_found_and_its_weights_are_named(dtype, value, what):
    good = torch.ones(2, 3, dtype=dtype)
    bad = good.clone()
    bad[1, 2] = value
    assert (
        wrong_values({'a': good, 'b.weight': bad}) == f"'b.weight' is {what} somewhere"
    )
    assert wrong_values({'a': good, 'n': torch.tensor(7)}) is None


def test_sums_of_large_values_are_no_infinite_weights():
    assert wrong_values({'a': torch.full((8,), 6e4, dtype=torch.float16)}) is None


def test_both_signs_of_infinity_are_infinite_and_not_nan():
    assert 'infinite' in wrong_values({'w': torch.tensor([INF, -INF])})


def test_masks_are_infinite_by_intent():
    causal = torch.full((3, 3), -INF).triu(1)
    assert wrong_values({'text.attn': causal, 'attn_mask': torch.tensor([INF])}) is None
    assert wrong_values({'attn_mask': torch.tensor([float('nan')])})


@pytest.mark.parametrize(
    'weights',
    [torch.tensor([0, -INF]), torch.full((2, 2), INF), torch.tensor([[1, -INF]])],
    ids=['a bias', 'plus infinity', 'other values'],
)
def test_what_only_resembles_a_mask_is_none(weights):
    assert wrong_values({'w': weights})


def test_a_variance_is_not_negative():
    good = {'bn.running_var': torch.zeros(3), 'bn.running_mean': -torch.ones(3)}
    assert wrong_values(good) is None
    bad = good | {'bn.running_var': torch.tensor([1.0, -1e-9])}
    assert wrong_values(bad) == (
        "'bn.running_var' is negative somewhere, as no variance is"
    )
