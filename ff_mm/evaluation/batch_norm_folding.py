"""Batch norm as part of the convolutions before it, for passes in evaluation mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

# Of the largest output: how far rounding may move one.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Pair:
    """A convolution, the batch norm behind it, and where that one stands."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    parent: nn.Module
    name: str
    bias: nn.Parameter | None


class BatchNormFolding:
    """Folds batch norm into convolutions, in the network's own tensors.

    In evaluation mode batch norm is one affine map a channel, which a convolution right
    before it can take over. Outputs are the same to rounding. The weights are changed
    in place, which costs no memory: they must be loaded anew before they are used for
    anything else.

    Args:
        model: The network.
        run: Runs it on some images and returns its output, by which it is found out
            what follows what. Called three times.
    """

    def __init__(self, model: nn.Module, run: Callable[[], Any]) -> None:
        self.model = model
        self._folded = False
        self._pairs = _find_pairs(model, run)
        self._pairs = self._pairs if self._is_exact(run) else []

    def fold(self) -> None:
        """Folds the weights that the network has; once after they were loaded."""
        if self._folded:
            return
        self._folded = True
        for pair in self._pairs:
            # Any, as torch cannot know that the statistics are tracked.
            conv, norm = pair.conv, cast(Any, pair.norm)
            weight, bias = fuse_conv_bn_weights(
                conv.weight,
                conv.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            conv.weight.data.copy_(weight)
            conv.bias = nn.Parameter(bias.data, requires_grad=False)
            setattr(pair.parent, pair.name, _what_remains(norm))

    def unfold(self) -> None:
        """Restores the network's modules; its weights must then be loaded anew."""
        self._folded = False
        for pair in self._pairs:
            pair.conv.bias = pair.bias
            setattr(pair.parent, pair.name, pair.norm)

    def _is_exact(self, run: Callable[[], Any]) -> bool:
        """Whether outputs stay the same; a convolution's might be used elsewhere too.

        Leaves the network folded, if it is.
        """
        if not self._pairs:
            return True
        before = _tensors(run())
        weights = [pair.conv.weight.detach().clone() for pair in self._pairs]
        self.fold()
        after = _tensors(run())
        exact = all(
            # Of outputs that are NaN or infinite nothing is shown.
            bool((a - b).abs().max() <= _TOLERANCE * b.abs().max())
            for b, a in zip(before, after, strict=True)
        )
        if not exact:
            self.unfold()
            for pair, weight in zip(self._pairs, weights, strict=True):
                pair.conv.weight.data.copy_(weight)
        return exact


def _find_pairs(model: nn.Module, run: Callable[[], Any]) -> list[_Pair]:
    """Finds each batch norm whose input is what one convolution has just put out."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: Counter[nn.Module] = Counter()

    def after_conv(conv: nn.Conv2d, inputs: Any, output: Tensor) -> None:
        calls[conv] += 1
        outputs[id(output)] = conv, output

    def before_norm(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        calls[norm] += 1
        if id(inputs[0]) in outputs:
            found.append((outputs[id(inputs[0])][0], norm))

    handles = [
        module.register_forward_hook(after_conv)
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(before_norm)
        for module in model.modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    names = {module: name for name, module in model.named_modules()}
    return [
        _Pair(conv, norm, *_place(model, names[norm]), cast(Any, conv.bias))
        for conv, norm in found
        if calls[conv] == calls[norm] == 1
        and _what_remains(norm) is not None
        and norm.running_mean is not None
    ]


def _place(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    parent, _, leaf = name.rpartition('.')
    return model.get_submodule(parent), leaf


def _what_remains(norm: nn.BatchNorm2d) -> nn.Module | None:
    """What a batch norm does besides; None where that is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    if type(norm).__name__ == 'BatchNormAct2d':  # timm's
        return nn.Sequential(cast(Any, norm).drop, cast(Any, norm).act)
    return None


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    return [tensor for item in output for tensor in _tensors(item)]
