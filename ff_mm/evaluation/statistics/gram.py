"""Gram matrices of what goes into the linear layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ff_mm.merging.state_dict import StateDict
from ff_mm.parallel.termination import raise_if_requested

# Images at a time; of a convolution the patches of all of them are there at once.
_AT_ONCE = 16


@torch.no_grad()
def gram_matrices(
    network: nn.Module,
    images: Iterable[Tensor],
    advance: Callable[[int], None] = lambda images: None,
) -> StateDict:
    """Returns the Gram matrices of the inputs of all linear layers.

    A convolution is a linear layer on unfolded patches; with several groups it is as
    many layers. Where layers are, and how images are padded before, is seen from what
    the network does, so that layers of any class will do; one that computes its weights
    from others is passed over.

    Args:
        network: In evaluation mode.
        images: Prepared images, in batches of any size.
        advance: Told how many are done.

    Returns:
        Matrices of shape (groups, inputs, inputs) by the names of the layers' weights,
        sums over all positions, divided by the number of images.
    """
    network.eval()
    names: dict[int, list[str]] = {}
    for key, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(key)
    watch = _Watch(names)
    count = 0
    for batch in images:
        for some in batch.split(_AT_ONCE):
            raise_if_requested()
            with watch:
                network(some)
            count += len(some)
            advance(len(some))
    return {
        key: (total / count).cpu()
        for number, total in watch.totals.items()
        for key in names[number]
    }


class _Watch(TorchFunctionMode):
    """Sees each linear map with weights of the network, and what goes into it."""

    def __init__(self, names: Mapping[int, Any]) -> None:
        super().__init__()
        self.totals: dict[int, Tensor] = {}
        self._names = names

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        rows = _ROWS.get(func)
        if rows is not None:
            self._add(rows, *args, **kwargs)
        return func(*args, **kwargs)

    def _add(
        self, rows: Any, input: Tensor, weight: Tensor, *rest: Any, **more: Any
    ) -> None:
        number = id(weight)
        if number not in self._names:
            return
        found = rows(input, weight, *rest, **more).float()
        gram = found @ found.transpose(-1, -2)
        self.totals[number] = self.totals.get(number, 0) + gram


def _of_linear(input: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    return input.reshape(-1, weight.shape[1]).T[None]


def _of_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Patches as columns: (groups, inputs of a group, positions)."""
    size = weight.shape[2:]
    if isinstance(padding, str):
        input, padding = _padded(input, padding, size, dilation), 0
    patches = F.unfold(input, size, dilation, padding, stride)
    by_group = patches.reshape(len(patches), groups, -1, patches.shape[-1])
    return by_group.permute(1, 2, 0, 3).flatten(2)


def _padded(input: Tensor, padding: str, size: Any, dilation: Any) -> Tensor:
    """An image padded as ``padding='same'`` says."""
    if padding != 'same':
        return input
    apart = dilation if isinstance(dilation, tuple | list) else (dilation,) * 2
    sides: list[int] = []
    for length, gap in zip(reversed(size), reversed(apart), strict=True):
        total = gap * (length - 1)
        sides += [total // 2, total - total // 2]
    return F.pad(input, sides)


_ROWS: dict[Any, Callable[..., Tensor]] = {
    F.linear: _of_linear,
    F.conv2d: _of_convolution,
}
