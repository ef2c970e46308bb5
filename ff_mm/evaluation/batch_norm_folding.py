"""Batch norm as part of the convolutions before it, for passes in evaluation mode."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ff_mm.engine.precision import float32

# Of the largest output: how far rounding may move one.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3}

#: Runs a network on some images, in the dtype of its weights; returns its output.
Run = Callable[[nn.Module], Any]


class Foldable(NamedTuple):
    """What of a network can be folded, as JSON can say it.

    Attributes:
        pairs: Names of a convolution, and of the batch norm that it can take over.
        problem: Why there is none, where one would be expected.
    """

    pairs: Sequence[Sequence[str]] = ()
    problem: str | None = None


def find_foldable(model: nn.Module, run: Run) -> Foldable:
    """Finds out which convolutions can take over a batch norm without a difference.

    That is a property of the network, not of the weights that it happens to have, nor
    of a device or its precision: a copy is looked at, on the CPU and in float64, whose
    rounding hides nothing, with statistics of batch norm that are no model's. (A
    network that cannot be run like that is looked at in float32.)

    Args:
        model: The network, which is left as it is.
        run: Runs it.
    """
    problem = ''
    own = next(model.parameters()).device
    for device, dtype in ((torch.device('cpu'), torch.float64), (own, torch.float32)):
        try:
            with torch.no_grad(), float32():
                tried = copy.deepcopy(model).eval().to(device, dtype)
                return _tried(tried, run, _TOLERANCE[dtype])
        except Exception as error:  # whatever a network of others may raise
            problem = f'{type(error).__name__}: {error}'.split('\n', 1)[0][:160]
    return Foldable((), f'it could not be tried ({problem})')


def _tried(model: nn.Module, run: Run, tolerance: float) -> Foldable:
    """Folds all that seems to fit; a convolution's output may be used elsewhere too."""
    names = _find_pairs(model, run)
    if not names:
        return Foldable()
    folding = BatchNormFolding(model, names)
    for parameter in model.parameters():
        parameter.nan_to_num_(0.1, 0.1, -0.1)  # of a model that has diverged
    generator = torch.Generator().manual_seed(0)
    for pair in folding.pairs:
        _change(pair.norm, generator)
    before = _tensors(run(model))
    folding.fold()
    after = _tensors(run(model))
    off = max(
        float((a - b).abs().max() / b.abs().max())
        for b, a in zip(before, after, strict=True)
    )
    if off <= tolerance:  # not so of NaN
        return Foldable(names)
    return Foldable((), f'outputs would move by {off:.1e} of the largest')


def _change(norm: nn.BatchNorm2d, generator: torch.Generator) -> None:
    """Gives a batch norm other values, none of them 0 or 1, of about the same size."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)

    def drawn(least: float, most: float) -> Tensor:
        values = torch.rand(mean.shape, generator=generator, dtype=torch.float64)
        return (least + (most - least) * values).to(mean)

    sound = variance.isfinite() & (variance > 0)
    variance.copy_(torch.where(sound, variance, torch.ones_like(variance)))
    mean.nan_to_num_(0.0, 0.0, 0.0).add_(variance.sqrt() * drawn(-1, 1))
    variance.mul_(drawn(0.5, 2))
    if norm.affine:
        norm.weight.copy_(norm.weight.abs().clamp(0.1, 10) * drawn(0.5, 1.5))
        norm.bias.add_(norm.weight * drawn(-0.5, 0.5))


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
        names: The pairs, see :class:`Foldable`.
    """

    def __init__(self, model: nn.Module, names: Sequence[Sequence[str]]) -> None:
        self._folded = False
        self.pairs = [_pair(model, *pair) for pair in names]

    def fold(self) -> None:
        """Folds the weights that the network has; once after they were loaded."""
        if self._folded:
            return
        self._folded = True
        for pair in self.pairs:
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
        for pair in self.pairs:
            pair.conv.bias = pair.bias
            setattr(pair.parent, pair.name, pair.norm)


def _find_pairs(model: nn.Module, run: Run) -> list[tuple[str, str]]:
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
        run(model)
    finally:
        for handle in handles:
            handle.remove()
    names = {module: name for name, module in model.named_modules()}
    return [
        (names[conv], names[norm])
        for conv, norm in found
        if calls[conv] == calls[norm] == 1
        and _what_remains(norm) is not None
        and norm.running_mean is not None
    ]


def _pair(model: nn.Module, conv: str, norm: str) -> _Pair:
    layer: Any = model.get_submodule(conv)
    return _Pair(
        layer, cast(Any, model.get_submodule(norm)), *_place(model, norm), layer.bias
    )


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
