"""The gradient of the validation loss with regard to a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ff_mm.errors import ConfigError
from ff_mm.evaluation.evaluation_set import EvaluationSet

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class LossGradient:
    """The loss of a network, and its derivatives.

    Attributes:
        loss: Of the cases that are learned from, all of them as one batch.
        held_out: Of the others; None: there are none.
        scale: The derivative with regard to what the logits are multiplied by.
        entries: The gradient by name: of parameters, and of statistics of batch norm.
    """

    loss: float
    held_out: float | None
    scale: float
    entries: StateDict


def loss_gradient(
    cases: EvaluationSet,
    model: Any,
    scale: float = 1.0,
    held_out: np.ndarray | None = None,
    statistics: bool = True,
) -> LossGradient:
    r"""Returns the gradient of the loss of a network's own head, in evaluation mode.

    All cases are one batch, whatever the loss makes of one (a masked loss divides by
    how often a label is known in it), and in the memory of a batch: a first pass gives
    the logits, of which the loss and its gradient are taken, a second one takes the
    gradient on to the weights. With passes that are split over processes each has its
    part of the cases, and all have the result.

    Batch norm in evaluation mode is :math:`\gamma (x - m) / \sqrt{v + \epsilon} +
    \beta`, so the derivatives with regard to its statistics follow from those with
    regard to :math:`\gamma` and :math:`\beta`; they are exact.

    Args:
        cases: Validation.
        model: The network, without a distributed wrapper.
        scale: What the logits are multiplied by.
        held_out: Which cases are not learned from, a boolean for each; None: none.
        statistics: Whether statistics of batch norm are part of the gradient.

    Raises:
        ConfigError: The head is none of MMPretrain's for images.
    """
    model.eval()
    with torch.no_grad(), cases.precision(model):
        batches = list(_outputs(cases, model))
    logits, samples = _of_all_ranks(batches, len(cases.dataset))
    found = _loss_of_logits(model, logits, samples, scale, held_out)
    mine = _rows_of_this_rank(found.logits, sum(len(rows) for rows, _ in batches))
    with _differentiable(model) as norms, cases.precision(model):
        start = 0
        for inputs, _ in cases.batches(model):
            outputs = _wide(model(inputs))
            outputs.backward(mine[start : start + len(outputs)])
            start += len(outputs)
        entries = _gathered(dict(_gradients(model, norms, statistics)))
    return LossGradient(found.loss, found.held_out, found.scale, entries)


def entry_names(model: nn.Module, statistics: bool = True) -> list[str]:
    """Returns the names of what :func:`loss_gradient` gives a gradient of."""
    names = [name for name, _ in model.named_parameters()]
    if statistics:
        for name, _ in _batch_norms(model):
            names += [f'{name}.running_mean', f'{name}.running_var']
    return names


@dataclass(frozen=True)
class _OfLogits:
    loss: float
    held_out: float | None
    scale: float
    logits: Tensor


def _outputs(cases: EvaluationSet, model: Any) -> Iterator[tuple[Tensor, list[Any]]]:
    for inputs, samples in cases.batches(model):
        outputs = model(inputs)
        if not (isinstance(outputs, Tensor) and outputs.ndim == 2):
            raise _no_head(model)
        yield _wide(outputs), samples


def _wide(outputs: Tensor) -> Tensor:
    """Of half precision, single."""
    return outputs.float() if outputs.element_size() < 4 else outputs


def _loss_of_logits(
    model: Any,
    logits: Tensor,
    samples: Sequence[Any],
    scale: float,
    held_out: np.ndarray | None,
) -> _OfLogits:
    logits = logits.detach().requires_grad_()
    factor = torch.tensor(scale, dtype=logits.dtype, device=logits.device)
    factor.requires_grad_()
    held = np.zeros(len(samples), bool) if held_out is None else held_out
    with torch.enable_grad():
        loss = _loss(model, logits, samples, factor, np.flatnonzero(~held))
        loss.backward()
    assert logits.grad is not None and factor.grad is not None
    other = None
    if held_out is not None:
        with torch.no_grad():
            of_others = _loss(model, logits, samples, factor, np.flatnonzero(held))
        other = of_others.item()
    return _OfLogits(loss.item(), other, factor.grad.item(), logits.grad)


def _loss(
    model: Any, logits: Tensor, samples: Sequence[Any], factor: Tensor, rows: np.ndarray
) -> Tensor:
    """The loss of the head, as MMEngine sums it up."""
    head: Any = getattr(model, 'head', None)
    if not hasattr(head, '_get_loss'):
        raise _no_head(model)
    chosen = logits[torch.from_numpy(rows).to(logits.device)] * factor
    found = head._get_loss(chosen, [samples[row] for row in rows.tolist()])
    return sum(value.mean() for name, value in found.items() if 'loss' in name)


def _no_head(model: Any) -> ConfigError:
    kind = type(getattr(model, 'head', model)).__name__
    return ConfigError(
        f"soup='learned': {kind} gives no logits with a loss of them; use a head that "
        "derives from MMPretrain's ClsHead or MultiLabelClsHead"
    )


@contextmanager
def _differentiable(model: Any) -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
    """Lets gradients be taken of all weights; yields those that batch norm lacks.

    Layers without weights get a weight and a bias for as long.
    """
    parameters = [(p, p.requires_grad) for p in model.parameters()]
    lacking: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name, layer in _batch_norms(model):
        if layer.weight is None:
            one = torch.ones_like(layer.running_var, requires_grad=True)
            zero = torch.zeros_like(layer.running_var, requires_grad=True)
            lacking[name] = one, zero
            handles.append(layer.register_forward_hook(_affine(one, zero)))
    try:
        for parameter, _ in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None
        with torch.enable_grad():
            yield lacking
    finally:
        for handle in handles:
            handle.remove()
        for parameter, wanted in parameters:
            parameter.requires_grad_(wanted)
            parameter.grad = None


def _affine(one: Tensor, zero: Tensor) -> Any:
    def hook(layer: Any, inputs: Any, output: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (output.ndim - 2))
        return output * one.reshape(shape) + zero.reshape(shape)

    return hook


def _gradients(
    model: Any, lacking: Mapping[str, tuple[Tensor, Tensor]], statistics: bool
) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        # One that takes no part in the output.
        none = parameter.grad is None
        yield name, torch.zeros_like(parameter) if none else parameter.grad
    for name, layer in _batch_norms(model) if statistics else ():
        weight, bias = lacking.get(name, (layer.weight, layer.bias))
        if weight.grad is None or bias.grad is None:
            weight.grad = bias.grad = torch.zeros_like(layer.running_var)
        with torch.no_grad():
            precision = 1 / (layer.running_var + layer.eps)
            yield f'{name}.running_mean', -weight * precision.sqrt() * bias.grad
            yield f'{name}.running_var', -0.5 * weight * precision * weight.grad


def _batch_norms(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_var is not None:
            yield name, layer


def _of_all_ranks(
    batches: Sequence[tuple[Tensor, list[Any]]], number: int
) -> tuple[Tensor, list[Any]]:
    """Logits and data samples of all cases, in the order of the data set."""
    logits = torch.cat([rows for rows, _ in batches])
    samples = [sample for _, some in batches for sample in some]
    if get_world_size() == 1:
        return logits, samples
    every = all_gather_object((logits.cpu(), [sample.cpu() for sample in samples]))
    # MMEngine's sampler gives out one case after the other, and repeats the first ones
    # until all ranks have as many.
    rows = torch.stack([of_rank for of_rank, _ in every], 1).flatten(0, 1)[:number]
    turns = zip(*(some for _, some in every), strict=True)
    told = [sample for turn in turns for sample in turn][:number]
    device = logits.device
    return rows.to(device), [sample.to(device) for sample in told]


def _rows_of_this_rank(gradient: Tensor, number: int) -> Tensor:
    """The rows of the cases that this rank has; 0 of those that are repeated."""
    ranks = get_world_size()
    if ranks == 1:
        return gradient
    padded = gradient.new_zeros(number * ranks, gradient.shape[1])
    padded[: len(gradient)] = gradient
    return padded[get_rank() :: ranks]


def _gathered(entries: StateDict) -> StateDict:
    """Sums over all ranks."""
    if get_world_size() == 1:
        return entries
    summed = {name: entry.contiguous() for name, entry in entries.items()}
    for entry in summed.values():
        all_reduce(entry)
    return summed
