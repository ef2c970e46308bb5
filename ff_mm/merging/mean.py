"""The mean of many models in the memory of two."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ff_mm.merging.block_sum import BlockSum
from ff_mm.merging.state_dict import (
    StateDict,
    check_same_architecture,
    copy_weights,
    outline,
)

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
                key: _wide_copy(tensor)
                for key, tensor in state_dict.items()
                if key not in summed
            }
        else:
            for key, mean in self._others.items():
                _move_towards(mean, state_dict[key], self._share(weight))
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
            moved = _move_towards(mean.clone(), state_dict[key], self._share(weight))
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


def _wide_copy(tensor: Tensor) -> Tensor:
    """Copy a tensor, in double precision if it is to be averaged."""
    return tensor.detach().to(
        torch.complex128 if tensor.is_complex() else tensor.dtype, copy=True
    )


def _move_towards(mean: Tensor, tensor: Tensor, share: float) -> Tensor:
    """``mean += share * (tensor - mean)``, in place; integers stay.

    The form is what makes the mean of equal models exact: where mean and tensor agree,
    -0.0 is added, which changes nothing (0.0 would change -0.0). That includes
    infinities, whose difference would be NaN.
    """
    if mean.is_complex():
        _move_towards(torch.view_as_real(mean), torch.view_as_real(tensor), share)
    elif mean.is_floating_point():
        step = tensor.to(mean, copy=True)
        equal = step == mean
        mean.add_(step.sub_(mean).masked_fill_(equal, -0.0), alpha=share)
    return mean
