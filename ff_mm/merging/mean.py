"""The mean of many models in the memory of one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ff_mm.merging.state_dict import StateDict, check_same_architecture, outline


class RunningMean:
    """Weighted mean of state dicts that arrive one at a time.

    Means are kept in double precision and cast back to the dtype of the models at
    the end. Integer and boolean entries, such as the ``num_batches_tracked`` of
    batch norm, are not averaged but taken from the first model. The mean of equal
    models is that model, bit for bit.

    Memory: 8 bytes a parameter, and a temporary copy of the tensor at hand.
    """

    def __init__(self) -> None:
        self._means: StateDict = {}
        self._outline: StateDict = {}
        self._total = 0.0

    @torch.no_grad()
    def add(self, state_dict: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Take one more model into the mean.

        Args:
            state_dict: Its tensors; they are copied, never kept.
            weight: Its weight in relation to the other models'.

        Raises:
            ValueError: If the weight is not positive and finite, or if keys, shapes
                or dtypes are not those of the first model. The mean is then as before.
        """
        self._check(state_dict, weight)
        if not self._means:
            self._outline = outline(state_dict)
            self._means = {key: _wide_copy(t) for key, t in state_dict.items()}
        else:
            share = weight / (self._total + weight)
            for key, mean in self._means.items():
                _move_towards(mean, state_dict[key], share)
        self._total += weight

    @torch.no_grad()
    def mean(self) -> StateDict:
        """Return the mean: new tensors, in the dtypes of the models.

        Raises:
            ValueError: If nothing was added.
        """
        self._require_some()
        return {key: self._narrow_copy(key, mean) for key, mean in self._means.items()}

    @torch.no_grad()
    def mean_with(
        self, state_dict: Mapping[str, Tensor], weight: float = 1.0
    ) -> StateDict:
        """Return the mean as if one more model had been added, bit for bit.

        Args:
            state_dict: The model, as for :meth:`add`.
            weight: Its weight.

        Raises:
            ValueError: As :meth:`add` does.
        """
        self._check(state_dict, weight)
        if not self._means:
            return {key: t.detach().clone() for key, t in state_dict.items()}
        share = weight / (self._total + weight)
        return {
            key: self._narrow_copy(
                key, _move_towards(mean.clone(), state_dict[key], share)
            )
            for key, mean in self._means.items()
        }

    @torch.no_grad()
    def pop(self) -> StateDict:
        """Return the mean and start afresh, freeing memory tensor by tensor.

        Raises:
            ValueError: If nothing was added.
        """
        self._require_some()
        mean = {
            key: self._narrow_copy(key, self._means.pop(key))
            for key in list(self._means)
        }
        self._outline, self._total = {}, 0.0
        return mean

    def _check(self, state_dict: Mapping[str, Tensor], weight: float) -> None:
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f'a weight must be positive and finite, got {weight}')
        if not state_dict:
            raise ValueError('a model without entries cannot be averaged')
        if self._means and (
            problems := check_same_architecture(
                state_dict, self._outline, 'the model', 'the first one'
            )
        ):
            raise ValueError('; '.join(problems))

    def _require_some(self) -> None:
        if not self._means:
            raise ValueError('the mean of no models was asked for')

    def _narrow_copy(self, key: str, mean: Tensor) -> Tensor:
        return mean.to(self._outline[key].dtype, copy=True)


def _wide_copy(tensor: Tensor) -> Tensor:
    """Copy a tensor, in double precision if it is to be averaged."""
    if tensor.is_complex():
        return tensor.to(torch.complex128, copy=True)
    if tensor.is_floating_point():
        return tensor.to(torch.float64, copy=True)
    return tensor.detach().clone()


def _move_towards(mean: Tensor, tensor: Tensor, share: float) -> Tensor:
    """``mean += share * (tensor - mean)``, in place; integers stay.

    The form is what makes the mean of equal models exact in any dtype: where mean and
    tensor agree, -0.0 is added, which changes nothing (0.0 would change -0.0). That
    includes infinities (attention masks have them), whose difference would be NaN.
    """
    if mean.is_complex():
        _move_towards(torch.view_as_real(mean), torch.view_as_real(tensor), share)
    elif mean.is_floating_point():
        step = tensor.to(mean, copy=True)
        equal = step == mean
        mean.add_(step.sub_(mean).masked_fill_(equal, -0.0), alpha=share)
    return mean
