"""Where the models of a pool are added up, and whether they stay there."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.memory import fits
from ff_mm.merging.placement import Placement

# What sums take in models: two levels of them, in double precision.
_SUMS = 4


def place(
    evaluator: ModelEvaluator, count: int, notify: Callable[[str], None]
) -> Placement:
    """Says where models are added up: on the device of the network, if it has room.

    Args:
        evaluator: The network; ``evaluation.keep_pool`` says whether they stay there.
            If not, that is so where they fit on a device beside their sums.
        count: How many models there are.
        notify: Takes a line where they stay.
    """
    model = sum(value.nbytes for value in evaluator.weights.values())
    device = evaluator.device
    if not fits(_SUMS * model, device):
        device = torch.device('cpu')
    keeps = evaluator.options.keep_pool
    if keeps is None:
        keeps = fits((count + _SUMS) * model, device)
    if keeps:
        where = 'memory' if device.type == 'cpu' else f'the memory of {device}'
        notify(f'the pool is kept in {where}, {count * model / 1e6:.0f} MB')
    return Placement(device, keeps)
