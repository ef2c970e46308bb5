"""What metrics keep of each case, as arrays, for models that give no probabilities.

A metric of MMEngine keeps something of each case in ``results``, and computes its
values of these. So of what is kept all metrics can be had again, and of resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, DumpResults
from torch import Tensor

from ff_mm.errors import FFMMError

#: Types of the arrays.
KINDS = ('b1', 'u1', 'i1', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8')
#: Begins their names in a file.
PREFIX = 'kept_'
# Ends them where the metric keeps tensors.
_TENSOR = '_t'


def counting(metrics: Sequence[BaseMetric]) -> list[BaseMetric]:
    """Returns the metrics that give something, in their order."""
    return [metric for metric in metrics if not isinstance(metric, DumpResults)]


def pack(metric: BaseMetric, number: int, results: Sequence[Any]) -> dict[str, Any]:
    """Returns what a metric keeps of all cases as arrays by name.

    Args:
        metric: The metric.
        number: Its number among those of the set.
        results: One thing a case: a number, an array or a tensor of one shape, or a
            tuple or list of such.

    Raises:
        FFMMError: It keeps something else.
    """
    name = f'{PREFIX}{number}'
    if results and isinstance(results[0], (tuple, list)):
        if len({len(result) for result in results}) == 1:
            columns = enumerate(zip(*results, strict=True))
            parts = (_column(f'{name}_{i}', list(column)) for i, column in columns)
            arrays = dict(parts)
        else:
            arrays = {name: None}
    else:
        arrays = dict([_column(name, list(results))])
    if any(array is None for array in arrays.values()):
        raise FFMMError(
            f'{type(metric).__name__} keeps of each case {_in_words(results)}, which '
            'cannot be drawn again or written to a file: a comparison needs metrics '
            'that keep numbers, or arrays of one shape, of each case; take it out of '
            'the evaluators'
        )
    return arrays


def unpack(kept: Mapping[str, np.ndarray], number: int) -> list[Any]:
    """Returns what a metric keeps of each case as it has kept it.

    Args:
        kept: All arrays of a set.
        number: That of the metric.
    """
    name = f'{PREFIX}{number}'
    for suffix in ('', _TENSOR):
        if name + suffix in kept:
            return _rows(name + suffix, kept)
    columns: list[list[Any]] = []
    while True:
        found = [f'{name}_{len(columns)}{suffix}' for suffix in ('', _TENSOR)]
        there = [each for each in found if each in kept]
        if not there:
            break
        columns.append(_rows(there[0], kept))
    return list(zip(*columns, strict=True))


def require_one_a_case(metric: BaseMetric, kept: int, cases: int) -> None:
    """Refuses a metric that does not keep one thing a case.

    Args:
        metric: The metric.
        kept: How many things it has kept.
        cases: Of how many cases.

    Raises:
        FFMMError: They are not as many.
    """
    if kept != cases:
        raise FFMMError(
            f'{type(metric).__name__} keeps {kept} results of {cases} cases, so none '
            'can be drawn twice: a comparison needs metrics that keep one of each; '
            'take it out of the evaluators'
        )


def _rows(name: str, kept: Mapping[str, np.ndarray]) -> list[Any]:
    if name.endswith(_TENSOR):
        return list(torch.from_numpy(kept[name]))
    return list(kept[name]) if kept[name].ndim > 1 else kept[name].tolist()


def _column(name: str, values: list[Any]) -> tuple[str, np.ndarray | None]:
    """All values of one kind as an array; None if they are none."""
    if values and all(isinstance(value, Tensor) for value in values):
        name = name + _TENSOR
        values = [value.detach().cpu().numpy() for value in values]
    try:
        array = np.array(values)
    except ValueError:  # of several shapes
        return name, None
    return name, array if array.dtype.str[1:] in KINDS else None


def _in_words(results: Sequence[Any]) -> str:
    kinds = sorted({type(result).__name__ for result in results}) or ['nothing']
    return ', '.join(kinds)
