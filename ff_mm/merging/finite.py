"""Whether a network can compute with weights: with those that have diverged it cannot.

Metrics do not tell: the accuracy of such a model is the share of class 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_VARIANCE = 'running_var'  # of batch norm, which takes its square root


def unusual_kind(tensor: Tensor) -> str | None:
    """Says what kind of tensor this is, if it is none of values one after the other."""
    if tensor.is_quantized:
        return 'quantised'
    if tensor.is_nested:
        return 'nested'
    if tensor.layout != torch.strided:
        return f'sparse ({tensor.layout})'
    return None


def other_numbers(tensor: Tensor, expected: torch.dtype) -> bool:
    """Whether values are none that a weight of this type can take over.

    Integers, booleans and floats of one byte are the codes of a quantised network; of a
    complex number the imaginary part would be lost.
    """
    if tensor.is_complex() or expected.is_complex:
        return tensor.is_complex() != expected.is_complex
    if not expected.is_floating_point:
        return False
    return not tensor.is_floating_point() or tensor.itemsize == 1


def wrong_values(weights: Mapping[str, Tensor]) -> str | None:
    """Says which weights are NaN, infinite or no variance somewhere, if any are.

    A state dict does not tell a parameter from a buffer, and attention masks are
    infinite by intent. So a tensor called a mask may be, and one of two dimensions or
    more that is nothing but 0 and minus infinity.

    Args:
        weights: They are gone through once.

    Returns:
        The first of them and what is wrong, for messages; None: all are well.
    """
    for key in weights:
        if weights[key].is_meta:
            return f'{key!r} has no values'
        tensor = _values(weights[key])
        if tensor is None:
            continue
        if (
            key.endswith(_VARIANCE)
            and not tensor.is_complex()
            and bool((tensor < 0).any())
        ):
            return f'{key!r} is negative somewhere, as no variance is'
        # The sum is faster; that of large finite values can be infinite, too.
        if bool(tensor.sum().isfinite()):
            continue
        if bool(tensor.isnan().any()):
            return f'{key!r} is NaN somewhere'
        if bool(tensor.isinf().any()) and not _is_mask(key, tensor):
            return f'{key!r} is infinite somewhere'
    return None


def _values(tensor: Tensor) -> Tensor | None:
    """What is stored of a tensor, be it repeated without end; None: whole numbers."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return None
    storage = tensor.untyped_storage().nbytes() // tensor.itemsize
    if tensor.numel() > storage:
        tensor = tensor.as_strided((storage,), (1,), 0)
    # torch computes nothing with numbers of one byte.
    return tensor.float() if tensor.itemsize == 1 else tensor


def _is_mask(key: str, tensor: Tensor) -> bool:
    if 'mask' in key.rsplit('.', 1)[-1]:
        return True
    if tensor.is_complex() or tensor.dim() < 2:
        return False
    constant = (tensor == 0) | (tensor == -torch.inf)
    return bool(constant.all())
