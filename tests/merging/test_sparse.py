"""Sparse networks: values worked by hand, and exact counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import sparsity_of

from ff_mm.merging.sparse import (
    mean_of_sparse,
    prunable,
    prune,
    sparsity_after,
)
from ff_mm.merging.state_dict import CheckpointError


def layer(*values):
    return {'fc.weight': torch.tensor([list(map(float, values))])}


def test_each_phase_removes_the_same_part_of_what_is_left():
    found = [sparsity_after(phase, 3, 0.9) for phase in (1, 2, 3)]
    assert found == pytest.approx([0.535841, 0.784557, 0.9], abs=1e-6)
    assert pytest.approx(0.535841, abs=1e-6) == 1 - 0.1 ** (1 / 3)


def test_the_smallest_are_pruned_wherever_they_are():
    weights = {
        'a.weight': torch.tensor([[1.0, -2.0]]),
        'b.weight': torch.tensor([[3.0, -4.0]]),
    }
    pruned = prune(weights, 0.5)
    assert pruned['a.weight'].tolist() == [[0, 0]]
    assert pruned['b.weight'].tolist() == [[3, -4]]
    assert weights['a.weight'].tolist() == [[1, -2]]  # not in place


def test_what_is_left_out_stays_and_does_not_count():
    weights = {'a.weight': torch.tensor([[1.0, 2.0]]), **layer(0.1, 0.2)}
    pruned = prune(weights, 0.5, leave_out=['fc.'])
    assert pruned['a.weight'].tolist() == [[0, 2]]
    assert torch.equal(pruned['fc.weight'], weights['fc.weight'])


def test_the_mean_under_one_mask_is_as_sparse_as_its_models():
    mean = mean_of_sparse(dict(a=layer(0, 2, 0, 4), b=layer(0, 4, 0, 8)))
    assert mean['fc.weight'].tolist() == [[0, 3, 0, 6]]
    assert sparsity_of(mean) == 0.5


def test_models_of_other_masks_are_refused():
    with pytest.raises(CheckpointError, match='is 0 elsewhere than in a'):
        mean_of_sparse(dict(a=layer(0, 2, 0, 4), b=layer(1, 0, 3, 0)))


def test_what_is_pruned_are_the_weights_of_layers_the_classifier_included():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 7)
    )
    assert prunable(network.state_dict()) == ['0.weight', '2.weight']
    with pytest.raises(CheckpointError, match='nothing to prune'):
        prune({'bn.weight': torch.ones(3)}, 0.5)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.floats(0, 1))
def test_the_count_is_exact_whatever_ties_there_are(values, sparsity):
    pruned = prune(layer(*values), sparsity)['fc.weight'].flatten().tolist()
    zeros = sum(value == 0 for value in values)
    expected = max(zeros, int(sparsity * len(values) + 1e-9))
    assert sum(value == 0 for value in pruned) == expected
    kept = [abs(value) for value in pruned if value != 0]
    gone = [abs(v) for v, p in zip(values, pruned, strict=True) if p == 0]
    assert not kept or not gone or max(gone) <= min(kept)


def test_pruning_on_keeps_what_was_pruned():
    weights = layer(*range(1, 11))
    once = prune(weights, 0.3)
    assert sparsity_of(once) == pytest.approx(0.3)
    twice = prune(once, 0.6)
    assert sparsity_of(twice) == pytest.approx(0.6)
    assert not (twice['fc.weight'] != 0)[once['fc.weight'] == 0].any()
