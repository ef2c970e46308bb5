"""The weighted sum of many models in double precision, a block at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from ff_mm.merging.state_dict import StateDict

# Elements of a block. Its 2 MB in double precision stay in the cache between the few
# operations that each block sees, and are enough to pay for starting them.
_BLOCK = 1 << 18

# Elements of an allocation for many blocks: 32 MB. So much goes back to the system as
# soon as it is freed, where glibc would keep single blocks for later.
_SLAB = 1 << 22

_Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class _Piece:
    """A tensor, or the part of it at ``index``, and its place in the scratch block."""

    key: str
    index: _Index
    scratch: Tensor

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        tensor = tensors[self.key]
        return tensor[self.index] if self.index else tensor


@dataclass(frozen=True)
class _Block:
    """What is added up in one go: many small tensors, or a part of a large one."""

    pieces: tuple[_Piece, ...]
    scratch: Tensor

    def read(self, tensors: Mapping[str, Tensor], weight: float) -> Tensor:
        """Returns the weighted values of this block, in scratch memory."""
        for piece in self.pieces:
            piece.scratch.copy_(piece.of(tensors))
        # Multiplied here and not while adding, where some elements of a tensor would
        # be rounded once (fused) and others twice.
        return self.scratch if weight == 1 else self.scratch.mul_(weight)

    def write(self, out: StateDict) -> None:
        """Casts what is in scratch memory to the tensors of this block."""
        for piece in self.pieces:
            piece.of(out).copy_(piece.scratch)


class BlockSum:
    """``sum(weight * model)`` of tensors that are narrower than double precision.

    Memory: 8 bytes an element and one block. No tensor is copied whole, whatever its
    strides or device. Sums live on the devices of the first model's tensors.

    Args:
        model: Tensors of the shapes, dtypes and devices to come; floating point, of
            fewer than 64 bits.
    """

    def __init__(self, model: Mapping[str, Tensor]) -> None:
        self._blocks = tuple(_plan(model))
        self._sums: list[Tensor] = []

    def add(self, model: Mapping[str, Tensor], weight: float) -> None:
        """Add one more model; it is neither kept nor changed."""
        if self._sums:
            for block, total in zip(self._blocks, self._sums, strict=True):
                total.add_(block.read(model, weight))
        else:
            self._sums = list(_empty(self._blocks))
            for block, total in zip(self._blocks, self._sums, strict=True):
                # Not added to zeros, which would turn -0.0 into 0.0.
                total.copy_(block.read(model, weight))

    def scaled(self, factor: float, out: StateDict) -> None:
        """Write ``factor * sum`` into the tensors of ``out``."""
        for block, total in zip(self._blocks, self._sums, strict=True):
            torch.mul(total, factor, out=block.scratch)
            block.write(out)

    def scaled_with(
        self, model: Mapping[str, Tensor], weight: float, factor: float, out: StateDict
    ) -> None:
        """Write ``factor * (sum + weight * model)``, bit for bit as after adding it."""
        for block, total in zip(self._blocks, self._sums, strict=True):
            block.read(model, weight).add_(total).mul_(factor)
            block.write(out)

    def pop_scaled(self, factor: float, out: StateDict) -> None:
        """Write as :meth:`scaled`, freeing memory on the way."""
        for block, total in zip(self._blocks, _emptying(self._sums), strict=True):
            torch.mul(total, factor, out=block.scratch)
            block.write(out)


def _empty(blocks: Sequence[_Block]) -> Iterator[Tensor]:
    """Memory for sums, in slabs that are freed with the last block in them."""
    per_slab = max(1, _SLAB // _BLOCK)
    for start in range(0, len(blocks), per_slab):
        for device, group in groupby(
            blocks[start : start + per_slab], lambda block: block.scratch.device
        ):
            sizes = [block.scratch.numel() for block in group]
            slab = torch.empty(sum(sizes), dtype=torch.float64, device=device)
            yield from slab.split(sizes)


def _emptying(items: list[Tensor]) -> Iterator[Tensor]:
    items.reverse()
    while items:
        yield items.pop()


def _plan(model: Mapping[str, Tensor]) -> Iterator[_Block]:
    """Cut large tensors, and put small ones of a device together."""
    devices = {tensor.device for tensor in model.values()}
    for device in devices:
        groups = list(_pack(model, device))
        size = max(sum(math.prod(shape) for *_, shape in group) for group in groups)
        scratch = torch.empty(size, dtype=torch.float64, device=device)
        yield from (_block(group, scratch) for group in groups)


_Shape = tuple[int, ...]
_Cut = tuple[str, _Index, _Shape]


def _pack(model: Mapping[str, Tensor], device: torch.device) -> Iterator[list[_Cut]]:
    group: list[_Cut] = []
    room = _BLOCK
    for key, tensor in model.items():
        if tensor.device != device:
            continue
        for index, shape in _cut(tensor.shape):
            room -= math.prod(shape)
            if room < 0:
                yield group
                group, room = [], _BLOCK - math.prod(shape)
            group.append((key, index, shape))
    if group:
        yield group


def _cut(shape: _Shape) -> Iterator[tuple[_Index, _Shape]]:
    """Indices, and shapes of what they select, that cut a tensor into pieces.

    Indexing makes views of tensors of any strides; flattening may copy them.
    """
    row = math.prod(shape[1:])
    if not shape or shape[0] * row <= _BLOCK:
        yield (), shape
    elif row > _BLOCK:
        for i in range(shape[0]):
            yield from (((i, *index), part) for index, part in _cut(shape[1:]))
    else:
        rows = _BLOCK // row
        for start in range(0, shape[0], rows):
            stop = min(start + rows, shape[0])
            yield (slice(start, stop),), (stop - start, *shape[1:])


def _block(group: Sequence[_Cut], scratch: Tensor) -> _Block:
    pieces, start = [], 0
    for key, index, shape in group:
        stop = start + math.prod(shape)
        pieces.append(_Piece(key, index, scratch[start:stop].view(shape)))
        start = stop
    return _Block(tuple(pieces), scratch[:start])
