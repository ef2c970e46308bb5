"""Model Stock: between mean and origin, the nearer the mean the more members agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import (
    Piece,
    from_origin,
    layer_of,
    require_positive,
    shares_of,
    task_vectors,
)
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict

# Of a cosine of 1: what rounding makes of equal directions.
_TOLERANCE = 1e-12


def model_stock(
    members: Members, weights: Sequence[float], *, origin: AnyIngredient
) -> StateDict:
    """Return ``t * mean + (1 - t) * origin``, with a t for each layer.

    With the mean cosine c between the task vectors of n members, t is
    ``n * c / (1 + (n - 1) * c)``: 1 where all agree, 0 where they are orthogonal or
    point away from each other. Angles of the few numbers of a bias say little, so a
    layer's weight and bias have one t, and its statistics of batch norm with them.

    For more than two members the formula with the mean cosine is the usual reading of
    the paper. With weights that are not equal, n is ``1 / sum(share ** 2)``.

    Args:
        members: Of one architecture.
        weights: How much of each; positive.
        origin: Where their training has begun.

    References:
        Jang et al., "Model stock: all we need is just a few fine-tuned models", ECCV
        2024 (arXiv 2403.19522).
    """
    require_positive(weights, 'model_stock')
    shares = shares_of(weights)
    ratios = {
        layer: _ratio(products, shares)
        for layer, products in _products(members, origin).items()
    }

    def move(piece: Piece) -> Tensor:
        return ratios.get(layer_of(piece.key), 1.0) * (shares @ piece.vectors)

    return from_origin(members, weights, origin, move, convex=True)


def _products(members: Members, origin: AnyIngredient) -> dict[str, Tensor]:
    """Inner products of the task vectors of each layer."""
    products: dict[str, Tensor] = {}
    for piece in task_vectors(members, origin):
        layer, product = layer_of(piece.key), piece.vectors @ piece.vectors.T
        products[layer] = products[layer] + product if layer in products else product
    return products


def _ratio(products: Tensor, shares: Tensor) -> float:
    """How far from the origin to the mean it goes."""
    if len(shares) == 1:
        return 1.0
    norms = products.diagonal().sqrt()
    lengths = norms[:, None] * norms
    # What has not moved at all agrees with nothing.
    cosines = torch.where(lengths > 0, products / lengths.clamp(min=1e-300), 0.0)
    pairs = shares[:, None] * shares
    pairs.fill_diagonal_(0.0)
    cosine = float((pairs * cosines).sum() / pairs.sum())
    if cosine >= 1 - _TOLERANCE:
        return 1.0
    number, cosine = 1 / float(shares.square().sum()), max(0.0, cosine)
    return number * cosine / (1 + (number - 1) * cosine)
