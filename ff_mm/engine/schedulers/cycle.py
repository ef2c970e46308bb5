"""The arithmetic of the cyclical schedule: its values, and where its minima are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ff_mm.errors import ConfigError


def _check_values(low: float, high: float) -> None:
    if not 0 <= low < high:
        raise ConfigError(
            'expected 0 <= minimum < maximum of the cycle, got '
            f'minimum {low} and maximum {high}'
        )


@dataclass(frozen=True)
class Cycle:
    """A value that falls and rises linearly between two values, again and again.

    With c the length in steps and i the step counted from 0, the value is that of
    Garipov et al. 2018 (section 4) at t(i) = ((i + phase·c) mod c) / c:
    (1 - 2t)·α1 + 2t·α2 on the falling half, (2 - 2t)·α2 + (2t - 1)·α1 on the rising.

    Attributes:
        max_value: α1, taken at t = 0.
        min_value: α2, taken at t = 1/2.
        length: c, in steps; need not be whole.
        phase: Where in the cycle step 0 is, as a fraction of it in [0, 1).

    Raises:
        ConfigError: Values or phase out of range, or fewer than 2 steps.
    """

    max_value: float
    min_value: float
    length: float
    phase: float = 0.25

    def __post_init__(self) -> None:
        _check_values(self.min_value, self.max_value)
        if self.length < 2:
            raise ConfigError(
                f'cycle={self.length} steps is too short: a cycle falls and rises, so '
                'it needs at least 2; schedule by iteration (convert_to_iter_based)'
            )
        if not 0 <= self.phase < 1:
            raise ConfigError(
                f'phase={self.phase} is a fraction of a cycle: 0 <= phase < 1'
            )

    def value_at(self, step: int) -> float:
        """The value at a step."""
        t = ((step + self.phase * self.length) % self.length) / self.length
        if t < 0.5:
            return (1 - 2 * t) * self.max_value + 2 * t * self.min_value
        return (2 - 2 * t) * self.min_value + (2 * t - 1) * self.max_value

    def minima_up_to(self, last: int) -> list[int]:
        """The steps, from 1 to ``last``, at which a minimum is reached.

        A minimum is reached at the first step at or beyond t = 1/2: exactly there for
        an even length and a whole phase, else at the next step.
        """
        steps = []
        # i + phase·c = c/2 + k·c
        position = (0.5 - self.phase) * self.length
        # Rounded first, as fractions such as 0.25·c have an error.
        while (step := math.ceil(round(position, 6))) <= last:
            if step > 0:
                steps.append(step)
            position += self.length
        return steps


@dataclass(frozen=True)
class Sawtooth:
    """A value that falls linearly from one to another, and jumps back, again and again.

    With c the length in steps and i the step counted from 1, the value is that of
    Izmailov et al. 2018 (section 3.2) at t(i) = (((i - 1) mod c) + 1) / c:
    (1 - t)·α1 + t·α2.

    Attributes:
        max_value: α1, never quite taken.
        min_value: α2, taken at the end of each cycle.
        length: c, in steps.

    Raises:
        ConfigError: Values out of range, or less than a step.
    """

    max_value: float
    min_value: float
    length: float

    def __post_init__(self) -> None:
        _check_values(self.min_value, self.max_value)
        if self.length < 1:
            raise ConfigError(f'cycle={self.length}: expected a step or more')

    def value_at(self, step: int) -> float:
        """The value at a step, counted from 0."""
        t = (step % self.length + 1) / self.length
        return (1 - t) * self.max_value + t * self.min_value

    def minima_up_to(self, last: int) -> list[int]:
        """The steps, from 1 to ``last``, with which a cycle ends."""
        count = int(last / self.length)
        return [round(self.length * number) for number in range(1, count + 1)]
