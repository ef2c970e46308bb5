"""The cyclical learning rate of fast geometric generation."""

from __future__ import annotations

from typing import Any

from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.registry import PARAM_SCHEDULERS

from ff_mm.engine.schedulers.cycle import Cycle, Sawtooth
from ff_mm.errors import ConfigError

INF = int(1e9)


@PARAM_SCHEDULERS.register_module()
class CyclicalParamScheduler(_ParamScheduler):
    """A parameter that falls and rises linearly between two values, again and again.

    The values are those of :class:`ff_mm.engine.schedulers.cycle.Cycle`, with steps
    counted from ``begin``. They are computed in closed form, so nothing accumulates,
    and a minimum is known from the step count alone (see :meth:`minima_between`).

    ``phase=0.25`` is what the FissionFusion authors' code does, which counts epochs
    from 1: a run of 17 epochs with a cycle of 4 has its minima at the ends of epochs
    1, 5, 9, 13 and 17. ``phase=0`` is the formula as printed in Garipov et al. 2018
    (fast geometric ensembling): ends of epochs 2, 6, 10 and 14.

    Parameter groups keep their ratio: a group built with ``lr_mult=0.1`` gets a tenth
    of the schedule. (Later steps of training do not change the ratio, since it is
    taken between the group's initial value and the optimizer's default.)

    Args:
        optimizer: An optimizer or optimizer wrapper.
        param_name: The parameter to schedule, such as ``'lr'``.
        max_value: α1, the value at the top of the cycle.
        min_value: α2, the value at the bottom; positive or 0, below ``max_value``.
        cycle: The cycle's length in steps: epochs if ``by_epoch``, else iterations.
            With ``convert_to_iter_based=True`` in the config, epochs that MMEngine
            turns into iterations (a fraction of an epoch is then allowed).
        phase: Where in the cycle training starts, as a fraction of it in [0, 1).
        begin: The step at which the schedule starts.
        end: The step at which it stops.
        last_step: The step last taken, -1 at the start.
        by_epoch: Whether a step is an epoch.
        verbose: Whether to print each value.

    Raises:
        ConfigError: A cycle shorter than 2 steps, values or phase out of range.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        max_value: float,
        min_value: float,
        cycle: float,
        phase: float = 0.25,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.max_value = max_value
        self.min_value = min_value
        self.cycle = cycle
        self.phase = phase
        # Also the check of the values; not an attribute, which state_dict would save.
        self._cycle()
        super().__init__(
            optimizer,
            param_name,
            begin=begin,
            end=end,
            last_step=last_step,
            by_epoch=by_epoch,
            verbose=verbose,
        )

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        cycle: float,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> CyclicalParamScheduler:
        """Builds an iteration-wise scheduler from values given in epochs.

        Called by MMEngine for ``convert_to_iter_based=True``.
        """
        if not by_epoch or not epoch_length:
            raise ValueError(
                'convert_to_iter_based=True needs by_epoch=True and a train loop whose '
                f'epochs have a length, got by_epoch={by_epoch} and {epoch_length}'
            )
        kwargs.update(
            cycle=cycle * epoch_length,
            begin=int(begin * epoch_length),
            end=end if end == INF else int(end * epoch_length),
            by_epoch=False,
        )
        return cls(*args, **kwargs)

    def value_at(self, step: int) -> float:
        """The scheduled value at a step counted from ``begin``."""
        return self._cycle().value_at(step)

    def minima_between(self, after: int, until: int) -> list[int]:
        """Which minima are reached in the steps of (after, until].

        A minimum counts as reached when so many steps are done that t is at, or for
        an odd cycle first beyond, 1/2. That is decided from the count and not from
        the parameter's value: MMEngine never writes the value that falls on ``end``,
        and the last of the published minima is exactly there.

        Args:
            after: A number of steps done since the start of training.
            until: A later one.

        Returns:
            The numbers, from 1, of the minima reached; at most one per cycle.
        """
        last = min(until, self.end) - self.begin
        return [
            number
            for number, step in enumerate(self._cycle().minima_up_to(last), start=1)
            if step > after - self.begin
        ]

    def _cycle(self) -> Cycle | Sawtooth:
        return Cycle(self.max_value, self.min_value, self.cycle, self.phase)

    def _get_value(self) -> list[float]:
        """The value of each parameter group, in closed form."""
        value = self.value_at(self.last_step)
        default = self.optimizer.defaults[self.param_name]
        return [value * (base / default) for base in self.base_values]

    def load_state_dict(self, state_dict: dict) -> None:
        """Restores the counters, and only those.

        MMEngine's own restores every attribute, so that a run resumed with a longer
        schedule would keep the old end and freeze there.

        Raises:
            ConfigError: The saved schedule has another shape than this one.
        """
        for key in ('max_value', 'min_value', 'cycle', 'phase', 'begin', 'by_epoch'):
            if state_dict[key] != getattr(self, key):
                raise ConfigError(
                    f'cannot resume the cyclical schedule: {key} was '
                    f'{state_dict[key]} and is {getattr(self, key)}; resume with the '
                    'old value or start in a new work_dir'
                )
        self._global_step = state_dict['_global_step']
        self._last_value = state_dict['_last_value']
        if self.begin <= self._global_step < self.end:
            # Also right after a state that was taken on an earlier end, where the old
            # schedule had stopped counting and writing.
            self.last_step = self._global_step - self.begin
            for group, value in zip(
                self.optimizer.param_groups, self._get_value(), strict=True
            ):
                group[self.param_name] = value
        else:
            self.last_step = state_dict['last_step']


@PARAM_SCHEDULERS.register_module()
class CyclicalLR(LRSchedulerMixin, CyclicalParamScheduler):
    """:class:`CyclicalParamScheduler` for the learning rate.

    Examples:
        >>> param_scheduler = [dict(
        ...     type='CyclicalLR', max_value=1e-5, min_value=1e-8, cycle=4,
        ...     by_epoch=True, convert_to_iter_based=True)]
    """


@PARAM_SCHEDULERS.register_module()
class SawtoothLR(CyclicalLR):
    """The learning rate of stochastic weight averaging: it falls, and jumps back.

    As :class:`CyclicalLR`, with the values of
    :class:`ff_mm.engine.schedulers.cycle.Sawtooth`; there is no ``phase``.

    Examples:
        >>> param_scheduler = [dict(
        ...     type='SawtoothLR', max_value=1e-4, min_value=1e-6, cycle=2,
        ...     by_epoch=True, convert_to_iter_based=True)]
    """

    def _cycle(self) -> Sawtooth:
        return Sawtooth(self.max_value, self.min_value, self.cycle)
