"""Whether weights are finite: those of a model that has diverged are not.

Metrics do not tell: the accuracy of such a model is the share of class 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """Says which weights are NaN or infinite somewhere, if any are.

    A state dict does not tell a parameter from a buffer, and attention masks are
    infinite by intent. So a tensor called a mask may be, and one of two dimensions or
    more that is nothing but 0 and minus infinity.

    Args:
        weights: They are gone through once.

    Returns:
        The first of them and what is wrong, for messages; None: all are finite.
    """
    for key in weights:
        tensor = _values(weights[key])
        # The sum is faster; that of large finite values can be infinite, too.
        if tensor is None or bool(tensor.sum().isfinite()):
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
