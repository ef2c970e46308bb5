"""Networks of which most weights are exactly 0, and stay so when they are averaged.

Zimmer, Spiegel, Pokutta, "Sparse model soups", ICLR 2024 (arXiv 2306.16788).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ff_mm.merging.mean import RunningMean
from ff_mm.merging.state_dict import CheckpointError, StateDict

Weights = Mapping[str, Tensor]


def prunable(weights: Weights, leave_out: Sequence[str] = ()) -> list[str]:
    """Return the names of what may be pruned, in the order of the state dict.

    These are the ``weight`` entries of two dimensions or more: convolutions and linear
    layers. Biases and normalisation are left alone.

    Args:
        weights: The network.
        leave_out: What names begin with that are left alone, too.
    """
    return [
        key
        for key, value in weights.items()
        if key.split('.')[-1] == 'weight'
        and not key.startswith(tuple(leave_out))
        and value.dim() >= 2
        and value.is_floating_point()
    ]


def sparsity_after(phase: int, phases: int, sparsity: float) -> float:
    """Return the fraction of weights that are 0 after a phase of several.

    Each phase removes the same fraction of the weights that are left:
    q = 1 - (1 - s) ** (1 / P).

    Args:
        phase: Which one, from 1.
        phases: P, how many there are.
        sparsity: s, the fraction after the last of them.
    """
    return 1 - (1 - sparsity) ** (phase / phases)


@torch.no_grad()
def prune(
    weights: Weights, sparsity: float, leave_out: Sequence[str] = ()
) -> StateDict:
    """Set the smallest weights of a network to 0, wherever in it they are.

    Args:
        weights: The network; weights that are 0 already are among the smallest.
        sparsity: The fraction of prunable entries that are 0 then. Their number is
            rounded down; of equal magnitudes the first are pruned.
        leave_out: As :func:`prunable` takes it.

    Returns:
        A new state dict; what is not pruned shares its tensors.
    """
    names = prunable(weights, leave_out)
    if not names:
        raise CheckpointError('there is nothing to prune: no weight has two dimensions')
    magnitudes = torch.cat([weights[n].detach().abs().flatten().float() for n in names])
    # A hair more, as 0.1 of 30 is 2.9999... in binary numbers.
    count = math.floor(sparsity * len(magnitudes) + 1e-9)
    order = torch.argsort(magnitudes, stable=True)
    kept = torch.ones(len(magnitudes), dtype=torch.bool)
    kept[order[:count]] = False
    pruned = dict(weights)
    start = 0
    for name in names:
        value = weights[name]
        mask = kept[start : start + value.numel()].view(value.shape)
        start += value.numel()
        pruned[name] = torch.where(
            mask.to(value.device), value, torch.zeros_like(value)
        )
    return pruned


def mask_of(weights: Weights) -> StateDict:
    """Return which prunable entries are not 0."""
    return {name: weights[name] != 0 for name in prunable(weights)}


def mean_of_sparse(models: Mapping[str, Weights]) -> StateDict:
    """Return the mean of networks that are 0 in the same places.

    Args:
        models: By name.

    Raises:
        CheckpointError: Two are not; their mean would have fewer zeros than they have.
    """
    names = list(models)
    mean, zeros = RunningMean(), None
    for name in names:
        found = {key: ~mask for key, mask in mask_of(models[name]).items()}
        zeros = zeros or found
        _require_same(zeros, found, names[0], name)
        mean.add(models[name])
    return mean.pop()


def _require_same(
    first: StateDict, second: StateDict, first_name: str, second_name: str
) -> None:
    for key, mask in first.items():
        if not torch.equal(mask, second[key]):
            raise CheckpointError(
                f'{second_name}: key {key!r} is 0 elsewhere than in {first_name}; the '
                'mean of the two would not be sparse: retrain both with one mask'
            )
