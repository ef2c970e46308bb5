"""What a soup may ask about validation besides scores; who evaluates provides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from ff_mm.errors import FFMMError
from ff_mm.merging.candidate import Candidate

T = TypeVar('T')


class Ensembles(Protocol):
    """What models say of each case of validation, and what their means score."""

    def predictions(self, models: Sequence[Candidate], average: str) -> list[Tensor]:
        """Return what each model says, in double precision and one shape.

        Args:
            models: Each is evaluated once, whatever is asked later.
            average: What the mean is taken of: ``'probabilities'`` or ``'logits'``.
        """

    def score(self, mean: Tensor, average: str) -> float:
        """Return the validation metric of a mean of such predictions."""


def provided(found: T | None, soup: str, what: str, argument: str) -> T:
    """Return what a scorer provides.

    Raises:
        FFMMError: It provides no such thing.
    """
    if found is None:
        raise FFMMError(
            f'soup {soup!r} needs {what} of validation, which its scorer cannot give; '
            f'give Scorer({argument}=...)'
        )
    return found
