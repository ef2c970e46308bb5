"""The weights that training starts from, of whatever library they are."""

from ff_mm.models.starting_weights.initializer import (
    StartingWeights,
    built_silently,
    check_starting_weights,
)

__all__ = ['StartingWeights', 'built_silently', 'check_starting_weights']
