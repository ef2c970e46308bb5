"""LiNeS: what shallow layers have changed is scaled down, the deeper the less."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.methods.by_entry import Piece, from_origin, layer_of, shares_of
from ff_mm.merging.methods.method import Members
from ff_mm.merging.state_dict import StateDict

# layer2.0.conv1 of ResNets, layers.11.ffn of transformers and the EfficientNet of
# MMPretrain (layers.3.0), blocks.3.0 of timm's, stages.2.blocks.1 of Swin.
_BLOCK = re.compile(
    r'(?:^|\.)(?:layer(?=\d)|(?:layers|blocks|stages)\.)(\d+)'
    r'(?:\.(?:blocks\.|layers\.)?(\d+))?\.'
)
# Parts of a classifier that come after its blocks, be they numbered.
_OUTSIDE = ('neck.', 'head.')


def lines(
    members: Members,
    weights: Sequence[float],
    *,
    origin: AnyIngredient,
    alpha: float = 0.5,
    beta: float = 0.5,
) -> StateDict:
    """Return the origin plus the mean task vector, scaled by depth.

    What block l of B has changed, from 0, is multiplied by
    ``alpha + beta * l / (B - 1)``; the authors multiply all outside of blocks (stem,
    last norm, head) by alpha, and so does this. Blocks are what is numbered in names of
    MMPretrain's networks, see :func:`depths`. A single one is the deepest.

    Args:
        members: Of one architecture.
        weights: How much of each.
        origin: Where their training has begun.
        alpha: The factor of the first block.
        beta: By how much more that of the last one is.

    References:
        Wang et al., "LiNeS: post-training layer scaling prevents forgetting and
        enhances model merging", ICLR 2025 (arXiv 2410.17146).
    """
    shares = shares_of(weights)
    deep = depths(members[0].in_passing())
    convex = not leaves_the_hull(dict(alpha=alpha, beta=beta))

    def move(piece: Piece) -> Tensor:
        depth = deep.get(piece.key, 0.0)
        return (alpha + beta * depth) * (shares @ piece.vectors)

    return from_origin(
        members, weights, origin, move, convex=convex and min(weights) > 0
    )


def leaves_the_hull(options: Mapping[str, Any]) -> bool:
    """Say whether the result need not lie between members and origin."""
    alpha, beta = options.get('alpha', 0.5), options.get('beta', 0.5)
    return not (0 <= alpha <= 1 and 0 <= alpha + beta <= 1)


def depths(names: Iterable[str]) -> dict[str, float]:
    """Return how deep each entry lies, from 0 to 1; without those outside of blocks.

    Blocks are told by the first numbers in names: of ``backbone.layer2.0.conv1.weight``
    (ResNet) 2 and 0, of ``backbone.layers.11.ffn...`` (DeiT, ViT) 11, of
    ``backbone.timm_model.blocks.3.1...`` (EfficientNet) 3 and 1. They are counted in
    the order of these numbers. Of a network with fewer than two such blocks each layer
    is a block, in the order of the state dict, which is that of the network's parts:
    the first has depth 0, the last one, mostly the head, 1.

    Args:
        names: Of the entries of a state dict, in its order.
    """
    names = list(names)
    numbered = {name: found for name in names if (found := _numbers(name))}
    if len(set(numbered.values())) > 1:
        return _spread(numbered, sorted(set(numbered.values())))
    layers = {name: layer_of(name) for name in names}
    return _spread(layers, list(dict.fromkeys(layers.values())))


def _numbers(name: str) -> tuple[int, ...]:
    found = None if name.startswith(_OUTSIDE) else _BLOCK.search(name)
    return tuple(int(n) for n in found.groups() if n is not None) if found else ()


def _spread(blocks: Mapping[str, Any], order: Sequence[Any]) -> dict[str, float]:
    place = {block: number for number, block in enumerate(order)}
    last = len(order) - 1
    return {
        name: place[block] / last if last else 1.0 for name, block in blocks.items()
    }
