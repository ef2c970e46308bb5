"""A margin: a step is taken only if it is better in most resamples of validation.

On a few hundred images a step that scores better is mostly better by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ff_mm.errors import ConfigError
from ff_mm.merging.candidate import Candidate
from ff_mm.merging.scorer import Scorer
from ff_mm.merging.validation import provided


class Verdict(NamedTuple):
    """Whether a step is taken that scores better.

    Attributes:
        taken: Whether it is.
        agreement: In which part of resamples it is better; None: nobody asked.
        reason: Why not, or why; '' if nobody asked.
    """

    taken: bool
    agreement: float | None = None
    reason: str = ''


@dataclass(frozen=True)
class MarginOptions:
    """Options of a soup that goes by steps.

    Attributes:
        accept: In which part of paired resamples of validation, by patient or lesion
            where these are known, a step must be better to be taken; None: to score
            better is enough.
    """

    accept: float | None = None
    soup: ClassVar[str] = ''

    def __post_init__(self) -> None:
        known = isinstance(self.accept, (int, float)) and self.accept is not True
        if self.accept is not None and not (known and 0 < self.accept <= 1):
            raise ConfigError(
                f'soup={self.soup!r}: accept={self.accept!r}: expected a part of '
                'resamples above 0 and up to 1, such as 0.9, or None'
            )

    def judge(self, new: Candidate, old: Candidate, scorer: Scorer) -> Verdict:
        """Say whether a step is taken, whose score is good enough.

        Args:
            new: What would be after it.
            old: What there is now.
            scorer: What knows about resamples.
        """
        if self.accept is None:
            return Verdict(True)
        margins = provided(scorer.margins, self.soup, 'resamples', 'margins')
        share = margins.agreement(new, old)
        taken = share >= self.accept
        scorer.margin_asked += 1
        scorer.margin_refused += not taken
        reason = f'better in {share:.1%} of resamples'
        return Verdict(taken, share, reason if taken else f'{reason} only')
