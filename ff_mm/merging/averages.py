"""Averages of the weights of one model while it trains.

Which iterates go in, and how much of each; see :data:`AVERAGES`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from ff_mm.errors import ConfigError
from ff_mm.merging.mean import move_towards, wide_copy
from ff_mm.merging.state_dict import StateDict

Weights = Mapping[str, Tensor]


class MovingAverage:
    """``mean += share * (weights - mean)``, in double precision.

    Entries that are no floating point numbers are those of the first weights. Memory: 8
    bytes a parameter.

    Attributes:
        values: The mean; empty before anything was added.
        count: How much was added.
    """

    def __init__(self) -> None:
        self.values: StateDict = {}
        self.count = 0.0

    @torch.no_grad()
    def add(
        self, weights: Weights, count: float = 1.0, share: float | None = None
    ) -> None:
        """Take in weights.

        Args:
            weights: Of the same names and shapes each time; they are copied.
            count: How many iterates they stand for.
            share: How far the mean moves towards them; None: so that all iterates weigh
                equally.
        """
        self.count += count
        if not self.values:
            self.values = {key: wide_copy(value) for key, value in weights.items()}
            return
        share = count / self.count if share is None else share
        for key, mean in self.values.items():
            if share == 1 and mean.is_floating_point():
                mean.copy_(weights[key])  # exact, where moving would round
            else:
                move_towards(mean, weights[key], share)

    def result(self, like: Weights) -> StateDict:
        """Return the mean, in the dtypes of a model."""
        return {key: value.to(like[key].dtype) for key, value in self.values.items()}

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load_state` takes: plain values and tensors."""
        return dict(values=self.values, count=self.count)

    def load_state(self, state: Mapping[str, Any], like: Weights) -> None:
        """Go on from a state, on the devices of a model."""
        self.values = {
            key: value.to(like[key].device, copy=True)
            for key, value in state['values'].items()
        }
        self.count = state['count']


class Average(Protocol):
    """Watches the weights of one run, and has their average in the end.

    Attributes:
        needs: The validation metric that it goes by; None: it needs none.
        reestimates: Whether batch-norm statistics are to be re-estimated by default:
            where iterates are far from each other.
    """

    needs: ClassVar[str | None] = None
    reestimates: ClassVar[bool] = False

    def after_step(self, weights: Weights) -> None:
        """See the weights after each step of the optimizer."""

    def after_epoch(self, epoch: int, weights: Weights) -> None:
        """See the weights at the end of an epoch, counted from 1."""

    def after_validation(self, value: float) -> None:
        """See the metric that it needs, of the weights at the end of the epoch."""

    @abstractmethod
    def result(self, like: Weights) -> StateDict | None:
        """Return the average in the dtypes of a model; None: there is none."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what :meth:`load_state` takes: plain values and tensors."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Any], like: Weights) -> None:
        """Go on from a state, on the devices of a model."""


class _OfOneMean(Average):
    def __init__(self) -> None:
        self.mean = MovingAverage()

    def result(self, like: Weights) -> StateDict | None:
        return self.mean.result(like) if self.mean.values else None

    def state(self) -> dict[str, Any]:
        return self.mean.state()

    def load_state(self, state: Mapping[str, Any], like: Weights) -> None:
        self.mean.load_state(state, like)


class _EMA(_OfOneMean):
    """Exponential moving average: θ ← dθ + (1 - d)w after every step.

    Args:
        decay: d. 0: the last iterate.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = _number('decay', decay, 0, 1)
        if decay == 1:
            raise ConfigError('decay=1: the average would never move')

    def after_step(self, weights: Weights) -> None:
        self.mean.add(weights, share=1 - self.decay)


class _Last(Average):
    """No average: the weights as they are in the end."""

    def result(self, like: Weights) -> StateDict | None:
        return {key: value.detach().clone() for key, value in like.items()}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any], like: Weights) -> None:
        pass


class _SWA(_OfOneMean):
    """Stochastic weight averaging: the mean of the weights at the ends of epochs.

    Args:
        begin: The first epoch that counts, from 1.
        every: Epochs from one that counts to the next.

    References:
        Izmailov et al., "Averaging weights leads to wider optima and better
        generalization", UAI 2018 (arXiv 1803.05407).
    """

    reestimates = True

    def __init__(self, begin: int = 1, every: int = 1) -> None:
        super().__init__()
        self.begin = _whole('begin', begin)
        self.every = _whole('every', every)

    def after_epoch(self, epoch: int, weights: Weights) -> None:
        if epoch >= self.begin and (epoch - self.begin) % self.every == 0:
            self.mean.add(weights)


class _LAWA(Average):
    """Latest weight averaging: the mean of the ends of the last epochs.

    Memory: as many models as epochs.

    Args:
        last: How many epochs. 1: the last iterate.

    References:
        Kaddour, "Stop wasting my time! Saving days of ImageNet and BERT training with
        latest weight averaging", 2022 (arXiv 2209.14981).
    """

    def __init__(self, last: int = 5) -> None:
        self.last = _whole('last', last)
        self._kept: list[StateDict] = []

    def after_epoch(self, epoch: int, weights: Weights) -> None:
        copy = {key: value.detach().clone() for key, value in weights.items()}
        self._kept = [*self._kept, copy][-self.last :]

    def result(self, like: Weights) -> StateDict | None:
        mean = MovingAverage()
        for weights in self._kept:
            mean.add(weights)
        return mean.result(like) if self._kept else None

    def state(self) -> dict[str, Any]:
        return dict(kept=self._kept)

    def load_state(self, state: Mapping[str, Any], like: Weights) -> None:
        self._kept = [
            {key: value.to(like[key].device, copy=True) for key, value in kept.items()}
            for kept in state['kept']
        ]


class _SWAD(Average):
    """SWA of every step, within a window that the validation loss chooses.

    Each epoch is a segment: the mean of its iterates, and the loss at its end. The
    window begins at a segment whose loss is the least of ``converge`` in a row; what
    these have on average, times 1 + ``tolerance``, is the limit. It ends before the
    segment from which on ``overfit`` in a row are all above the limit. A run that never
    converges gives its last segment.

    Memory: as many models as segments are waited for.

    Args:
        converge: N_s.
        overfit: N_e.
        tolerance: r - 1 of the paper.

    References:
        Cha et al., "SWAD: domain generalization by seeking flat minima", NeurIPS 2021
        (arXiv 2102.08604), algorithm 1.
    """

    needs = 'loss'
    reestimates = True

    def __init__(
        self, converge: int = 3, overfit: int = 6, tolerance: float = 0.3
    ) -> None:
        self.converge = _whole('converge', converge)
        self.overfit = _whole('overfit', overfit)
        self.tolerance = _number('tolerance', tolerance, 0, float('inf'))
        self._current = MovingAverage()
        self._waiting: list[tuple[MovingAverage, float]] = []
        self._window = MovingAverage()
        self._limit: float | None = None
        self._over = False

    def after_step(self, weights: Weights) -> None:
        if not self._over:
            self._current.add(weights)

    def after_validation(self, value: float) -> None:
        if self._over:
            return
        self._waiting.append((self._current, value))
        self._current = MovingAverage()
        if self._limit is None:
            self._look_for_the_beginning()
        if self._limit is not None:
            self._take_in()

    def _look_for_the_beginning(self) -> None:
        if len(self._waiting) < self.converge:
            return
        losses = [loss for _, loss in self._waiting]
        if losses[0] == min(losses):
            self._limit = sum(losses) / len(losses) * (1 + self.tolerance)
        elif len(losses) == self.converge:
            del self._waiting[0]

    def _take_in(self, at_least: int | None = None) -> None:
        """Move segments into the window, as long as it has not ended."""
        assert self._limit is not None
        at_least = at_least or self.overfit
        while len(self._waiting) >= at_least:
            ahead = self._waiting[: self.overfit]
            if not min(loss for _, loss in ahead) <= self._limit:
                self._over, self._waiting = True, []
                return
            segment, _ = self._waiting.pop(0)
            self._window.add(segment.values, count=segment.count)

    def result(self, like: Weights) -> StateDict | None:
        if self._limit is None:
            if not self._waiting:
                return None
            return self._waiting[-1][0].result(like)
        self._take_in(at_least=1)
        return self._window.result(like) if self._window.values else None

    def state(self) -> dict[str, Any]:
        return dict(
            current=self._current.state(),
            waiting=[[mean.state(), loss] for mean, loss in self._waiting],
            window=self._window.state(),
            limit=self._limit,
            over=self._over,
        )

    def load_state(self, state: Mapping[str, Any], like: Weights) -> None:
        def mean(saved: Mapping[str, Any]) -> MovingAverage:
            average = MovingAverage()
            average.load_state(saved, like)
            return average

        self._current = mean(state['current'])
        self._waiting = [(mean(saved), loss) for saved, loss in state['waiting']]
        self._window = mean(state['window'])
        self._limit, self._over = state['limit'], state['over']


#: By the name that a config gives.
AVERAGES: dict[str, Callable[..., Average]] = dict(
    last=_Last, ema=_EMA, swa=_SWA, lawa=_LAWA, swad=_SWAD
)


def build_average(values: Mapping[str, Any]) -> Average:
    """Build an average from what a config says, such as ``dict(type='swa', begin=5)``.

    Raises:
        ConfigError: There is no such average, no such option, or a value out of range.
    """
    options = dict(values)
    kind = options.pop('type', None)
    if kind not in AVERAGES:
        raise ConfigError(f'no average {kind!r}; there are {", ".join(AVERAGES)}')
    try:
        return AVERAGES[kind](**options)
    except TypeError as error:
        raise ConfigError(f'average {kind!r}: {error}') from None


def _number(name: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f'{name}={value!r}: expected a number')
    if not least <= value <= most:
        raise ConfigError(f'{name}={value!r}: expected {least} to {most}')
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f'{name}={value!r}: expected a whole number of at least 1')
    return value
