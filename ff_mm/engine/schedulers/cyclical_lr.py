"""The cyclical learning rate of fast geometric generation."""

from __future__ import annotations

from typing import Any

from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.registry import PARAM_SCHEDULERS

INF = int(1e9)


def cyclical_value(t: float, max_value: float, min_value: float) -> float:
    """The cyclical schedule within one cycle.

    Args:
        t: Position in the cycle, in [0, 1).
        max_value: α1, taken at t = 0.
        min_value: α2, taken at t = 1/2.

    Returns:
        (1 - 2t)·α1 + 2t·α2 on the falling half, (2 - 2t)·α2 + (2t - 1)·α1 on the
        rising one (Garipov et al. 2018, section 4).
    """
    if t < 0.5:
        return (1 - 2 * t) * max_value + 2 * t * min_value
    return (2 - 2 * t) * min_value + (2 * t - 1) * max_value


@PARAM_SCHEDULERS.register_module()
class CyclicalParamScheduler(_ParamScheduler):
    """A parameter that falls and rises linearly between two values, again and again.

    With c the cycle's length in steps and i the step counted from 0 at ``begin``,
    the value is :func:`cyclical_value` at t(i) = ((i + phase·c) mod c) / c. It is
    computed in closed form, so nothing accumulates over the steps, and a minimum is
    known from the step count alone (see :meth:`minima_between`).

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
        ValueError: A cycle shorter than 2 steps, values or phase out of range.
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
        if cycle < 2:
            raise ValueError(
                f'cycle={cycle} steps is too short: a cycle falls and rises, so it '
                'needs at least 2; schedule by iteration (convert_to_iter_based=True)'
            )
        if not 0 <= min_value < max_value:
            raise ValueError(
                'expected 0 <= minimum < maximum of the cycle, got '
                f'minimum {min_value} and maximum {max_value}'
            )
        if not 0 <= phase < 1:
            raise ValueError(f'phase={phase} is a fraction of a cycle: 0 <= phase < 1')
        self.max_value = max_value
        self.min_value = min_value
        self.cycle = cycle
        self.phase = phase
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
        return cls(
            *args,
            cycle=cycle * epoch_length,
            begin=int(begin * epoch_length),
            end=end if end == INF else int(end * epoch_length),
            by_epoch=False,
            **kwargs,
        )

    def value_at(self, step: int) -> float:
        """The scheduled value at a step counted from ``begin``."""
        t = ((step + self.phase * self.cycle) % self.cycle) / self.cycle
        return cyclical_value(t, self.max_value, self.min_value)

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
            for number, step in enumerate(self._minima_up_to(last), start=1)
            if step > after - self.begin
        ]

    def _minima_up_to(self, last: int) -> list[int]:
        """The steps, from 1 to ``last``, at which a minimum is reached."""
        half = self.cycle / 2
        start = self.phase * self.cycle
        # The first minimum is the first step at which start + step >= half + k·cycle.
        steps = []
        k = 0
        while (step := _ceil(half + k * self.cycle - start)) <= last:
            if step > 0:
                steps.append(step)
            k += 1
        return steps

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
            ValueError: The saved schedule has another shape than this one.
        """
        for key in ('max_value', 'min_value', 'cycle', 'phase', 'begin', 'by_epoch'):
            if state_dict[key] != getattr(self, key):
                raise ValueError(
                    f'cannot resume the cyclical schedule: {key} was '
                    f'{state_dict[key]} and is {getattr(self, key)}; resume with the '
                    'old value or start in a new work_dir'
                )
        self.last_step = state_dict['last_step']
        self._global_step = state_dict['_global_step']
        self._last_value = state_dict['_last_value']


@PARAM_SCHEDULERS.register_module()
class CyclicalLR(LRSchedulerMixin, CyclicalParamScheduler):
    """:class:`CyclicalParamScheduler` for the learning rate.

    Examples:
        >>> param_scheduler = [dict(
        ...     type='CyclicalLR', max_value=1e-5, min_value=1e-8, cycle=4,
        ...     by_epoch=True, convert_to_iter_based=True)]
    """


def _ceil(x: float) -> int:
    """Rounds up, forgiving the rounding error of fractions such as 0.25·c."""
    return int(-(-round(x, 6) // 1))
