"""The mean of many models in the memory of two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from ff_mm.merging.state_dict import (
    StateDict,
    check_same_architecture,
    copy_weights,
    outline,
)

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


# The products of such weights and any value of single precision, and sums of very many
# of them, are normal numbers of double precision.
_LEAST, _MOST = 1e-100, 1e100


class RunningMean:
    """Weighted mean of state dicts that arrive one at a time.

    A weight may be negative, as long as the weights so far add up to something
    positive: then the "mean" lies beyond the models.

    Floating point entries are averaged in double precision and cast back to the dtype
    of the models at the end, complex ones in their double precision. Integer and
    boolean entries, such as the ``num_batches_tracked`` of batch norm, are not averaged
    but taken from the first model.

    The mean of equal models is that model, bit for bit, in any dtype:

    - Entries narrower than double precision, which are nearly all, are summed up and
      multiplied by 1 / total weight. Each operation has a relative error of at most
      2 ** -53, so n equal models of value x give x * (1 + e) with e < n * 2 ** -51.
      The cast gives x if the error is less than half the distance to the next number.
      For 24 bits or fewer that is at least x * 2 ** -25, and more for subnormal
      numbers: enough for millions of models. Weights are such that nothing overflows or
      becomes subnormal on the way. Infinities and -0.0 stay, since all summands have
      their sign.
    - Double precision and complex entries move towards each model by its share, a
      difference that is exactly 0 between equal ones.

    Memory: 8 bytes a parameter, and a block of 2 MB.
    """

    def __init__(self) -> None:
        self._outline: StateDict = {}
        self._devices: dict[str, torch.device] = {}
        self._sum = BlockSum({})
        self._others: StateDict = {}
        self._total = 0.0

    @torch.no_grad()
    def add(self, state_dict: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Take one more model into the mean.

        Args:
            state_dict: Its tensors; they are copied, never kept.
            weight: Its weight in relation to the other models'.

        Raises:
            ValueError: If the weight, or what all of them add up to, is out of bounds:
                the sum positive, both finite (between 1e-100 and 1e100); or if keys,
                shapes or dtypes are not those of the first model. The mean is then as
                before.
        """
        self._check(state_dict, weight)
        if not self._outline:
            self._outline = outline(state_dict)
            self._devices = {key: tensor.device for key, tensor in state_dict.items()}
            summed = {key: t for key, t in state_dict.items() if _is_summed(t)}
            self._sum = BlockSum(summed)
            self._others = {
                key: wide_copy(tensor)
                for key, tensor in state_dict.items()
                if key not in summed
            }
        else:
            for key, mean in self._others.items():
                move_towards(mean, state_dict[key], self._share(weight))
        self._sum.add(state_dict, weight)
        self._total += weight

    @torch.no_grad()
    def mean(self, out: StateDict | None = None) -> StateDict:
        """Return the mean, in the dtypes of the models.

        Args:
            out: Where to write it: tensors of the same keys, shapes and dtypes, on any
                device and of any strides. New tensors if None.

        Raises:
            ValueError: If nothing was added, or ``out`` does not fit; nothing has then
                been written.
        """
        out = self._target(out)
        self._sum.scaled(1 / self._total, out)
        for key, mean in self._others.items():
            out[key].copy_(mean)
        return out

    @torch.no_grad()
    def mean_with(
        self,
        state_dict: Mapping[str, Tensor],
        weight: float = 1.0,
        out: StateDict | None = None,
    ) -> StateDict:
        """Return the mean as if one more model had been added, bit for bit.

        The mean itself stays as it is. No copy of the model is made but the result.

        Args:
            state_dict: The model, as for :meth:`add`.
            weight: Its weight.
            out: Where to write the mean, as for :meth:`mean`.

        Raises:
            ValueError: As :meth:`add` and :meth:`mean` do.
        """
        self._check(state_dict, weight)
        if not self._outline:
            if out is None:
                return {key: t.detach().clone() for key, t in state_dict.items()}
            return copy_weights(state_dict, out, 'the model')
        out = self._target(out)
        self._sum.scaled_with(state_dict, weight, 1 / (self._total + weight), out)
        for key, mean in self._others.items():
            moved = move_towards(mean.clone(), state_dict[key], self._share(weight))
            out[key].copy_(moved)
        return out

    @torch.no_grad()
    def pop(self, out: StateDict | None = None) -> StateDict:
        """Return the mean and start afresh, freeing memory on the way.

        Args:
            out: Where to write the mean, as for :meth:`mean`.

        Raises:
            ValueError: As :meth:`mean` does.
        """
        out = self._target(out)
        self._sum.pop_scaled(1 / self._total, out)
        for key in list(self._others):
            out[key].copy_(self._others.pop(key))
        self._outline, self._total = {}, 0.0
        return out

    def _share(self, weight: float) -> float:
        return weight / (self._total + weight)

    def _check(self, state_dict: Mapping[str, Tensor], weight: float) -> None:
        total = self._total + weight
        if not (_LEAST <= abs(weight) <= _MOST and _LEAST <= total <= _MOST):
            raise ValueError(
                'weights must add up to something positive and finite, and be between '
                f'{_LEAST} and {_MOST}, got {weight} in addition to {self._total}'
            )
        if not state_dict:
            raise ValueError('a model without entries cannot be averaged')
        if self._outline and (
            problems := check_same_architecture(
                state_dict, self._outline, 'the model', 'the first one'
            )
        ):
            raise ValueError('; '.join(problems))

    def _target(self, out: StateDict | None) -> StateDict:
        if not self._outline:
            raise ValueError('the mean of no models was asked for')
        if out is None:
            return {
                key: torch.empty_like(tensor, device=self._devices[key])
                for key, tensor in self._outline.items()
            }
        if problems := check_same_architecture(out, self._outline, 'out', 'the mean'):
            raise ValueError('; '.join(problems))
        return out


def _is_summed(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.element_size() < 8


def wide_copy(tensor: Tensor) -> Tensor:
    """Copy a tensor, in double precision if it is to be averaged."""
    wide = tensor.dtype
    if tensor.is_complex():
        wide = torch.complex128
    elif tensor.is_floating_point():
        wide = torch.float64
    return tensor.detach().to(wide, copy=True)


def move_towards(mean: Tensor, tensor: Tensor, share: float) -> Tensor:
    """``mean += share * (tensor - mean)``, in place; integers stay.

    The form is what makes the mean of equal models exact: where mean and tensor agree,
    -0.0 is added, which changes nothing (0.0 would change -0.0). That includes
    infinities, whose difference would be NaN.
    """
    if mean.is_complex():
        move_towards(torch.view_as_real(mean), torch.view_as_real(tensor), share)
    elif mean.is_floating_point():
        step = tensor.to(mean, copy=True)
        equal = step == mean
        mean.add_(step.sub_(mean).masked_fill_(equal, -0.0), alpha=share)
    return mean
