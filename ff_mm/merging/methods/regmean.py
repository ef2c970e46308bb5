"""RegMean: linear layers whose outputs are closest to those of all members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ff_mm.merging.methods.by_entry import (
    by_entry,
    mean_of,
    require_positive,
    shares_of,
)
from ff_mm.merging.methods.method import Members
from ff_mm.merging.methods.statistics import Statistics
from ff_mm.merging.state_dict import CheckpointError, StateDict


def regmean(
    members: Members,
    weights: Sequence[float],
    *,
    gram: Statistics,
    scale: float = 0.95,
) -> StateDict:
    """Return ``W = sum(w_i G_i W_i) / sum(w_i G_i)`` of each linear layer.

    ``G_i`` is the Gram matrix of the layer's inputs in member i: W gives, by least
    squares, the outputs that each member gives for its own inputs. A convolution is a
    linear layer on unfolded patches; one of several groups, such as a depthwise one, is
    as many linear layers, each with a Gram matrix of its own. All other entries,
    biases among them, are the mean by the weights, and so is what no input reaches.

    Memory: a few matrices of inputs x inputs of one layer, in double precision; the
    largest of a ResNet-50 have 4,608 x 4,608.

    Args:
        members: The members.
        weights: How much of each; positive.
        gram: Gram matrices of a member, of shape (groups, inputs, inputs), by the names
            of the layers' weights.
        scale: By which what is not on the diagonals is multiplied; 0 is a mean by the
            sizes of the inputs.

    References:
        Jin et al., "Dataless knowledge fusion by merging weights of language models",
        ICLR 2023 (arXiv 2212.09849).
    """
    require_positive(weights, 'regmean')
    parts = shares_of(weights).tolist()
    grams = [gram(member) for member in members]
    names = [member.name for member in members]

    def combine(key: str, values: Sequence[Tensor], _: Sequence[float]) -> Tensor:
        mean = mean_of(values, parts)
        if not any(key in found for found in grams):
            return mean
        total, sides = torch.zeros(()), torch.zeros(())
        for name, found, value, part in zip(names, grams, values, parts, strict=True):
            own = _scaled(_matrix(found, key, name, value), scale, part)
            # From the mean, which is then what stays where nothing is known.
            side = own @ _rows(value - mean, len(own))
            # In place: of a large layer each matrix is as large as several models.
            total = total.add_(own) if total.dim() else own
            sides = sides.add_(side) if sides.dim() else side
            del own, side
        eps = torch.finfo(grams[0][key].dtype).eps
        step = _solve(total, sides, eps).transpose(-1, -2)
        return mean + step.reshape(mean.shape)

    return by_entry(members, parts, combine)


def _rows(weight: Tensor, groups: int) -> Tensor:
    """A layer's weights of shape (groups, inputs, outputs)."""
    return weight.reshape(groups, weight.shape[0] // groups, -1).transpose(-1, -2)


def _scaled(gram: Tensor, scale: float, part: float) -> Tensor:
    """A member's share of the matrices, with less off the diagonals: a new tensor."""
    scaled = gram * (scale * part)
    diagonal = gram.diagonal(dim1=-2, dim2=-1) * part
    scaled.diagonal(dim1=-2, dim2=-1).copy_(diagonal)
    return scaled


def _solve(total: Tensor, sides: Tensor, eps: float) -> Tensor:
    """Solves for all groups, held up by what the Gram matrices are exact to.

    ``total`` is used up.
    """
    diagonal = total.diagonal(dim1=-2, dim2=-1)
    trace = diagonal.sum(-1)
    ridge = torch.where(trace > 0, eps * trace, 1.0)  # a group that nothing reaches
    diagonal.add_(ridge[:, None])
    # What cannot be solved is not finite, which is said of the entry.
    return torch.linalg.solve_ex(total, sides).result


def _matrix(found: Mapping[str, Tensor], key: str, name: str, weight: Tensor) -> Tensor:
    """The Gram matrices of a layer, checked.

    Raises:
        CheckpointError: They are missing, of another shape or not finite.
    """
    gram = found.get(key)
    if gram is None:
        raise CheckpointError(f'the Gram matrices of {name!r} lack the key {key!r}')
    shape, per_group = tuple(gram.shape), weight[0].numel()
    fits = len(shape) == 3 and shape[1:] == (per_group, per_group)
    if not fits or weight.shape[0] % max(shape[0], 1):
        raise CheckpointError(
            f'the Gram matrices of {name!r}: {key} is {shape}, expected '
            f'(groups, {per_group}, {per_group}) for weights of {tuple(weight.shape)}'
        )
    if not torch.isfinite(gram).all():
        raise CheckpointError(f'the Gram matrices of {name!r}: {key} is not finite')
    return gram.to(torch.float64)
