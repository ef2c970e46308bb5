"""The greedy soup: from the best on, what makes those kept so far better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient, ahead
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Candidate, NoBetterThan, Scorer, Step
from ff_mm.merging.soup import MEAN, Soup
from ff_mm.merging.soups.margin import MarginOptions
from ff_mm.merging.soups.ranking import ranked, reason


@dataclass(frozen=True)
class GreedyOptions(MarginOptions):
    """Options of a greedy soup."""

    soup: ClassVar[str] = 'greedy'


def greedy(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
    options: GreedyOptions = GreedyOptions(),
) -> Soup:
    """Make the greedy soup (Wortsman et al. 2022, recipe 1).

    Starting from the best, candidates are taken in the order of their scores, and kept
    if those kept so far, merged with the candidate, score better. The best one alone
    is not merged with anything: it is taken as it is.

    Args:
        ingredients: Ingredients or soups.
        scorer: Ranks the ingredients and scores what is tried.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.
        merge: How they are combined.
        options: A margin.

    Returns:
        The soup; its weights are bit for bit those that were scored.

    Raises:
        FFMMError: If there are no ingredients, two different ones share a name, or
            all of them score NaN.
    """
    first, *candidates = ranked(ingredients, scorer, name)
    best = scorer.score(first)
    rejected: list[AnyIngredient] = []
    steps = [scorer.report(Step(first.name, best, None, True, 'the best one alone'))]
    kept = _Kept(merge)
    kept.add(first, read=bool(candidates))
    present = Candidate(first.name, first.recipe, first.load)
    for number, candidate in enumerate(ahead(candidates)):
        scorer.look_ahead(kept.mixtures(candidates[number:], scorer), best)
        mixture = kept.mixture(candidate)
        step = _try(candidate, mixture, present, best, scorer, options)
        steps.append(scorer.report(step))
        if step.accepted and step.score is not None:
            best, present = step.score, mixture
            kept.add(candidate)
        else:
            rejected.append(candidate)
    soup = Soup(
        name,
        'greedy',
        tuple(kept.members),
        best,
        tuple(steps),
        tuple(rejected),
        merge=merge if len(kept.members) > 1 else MEAN,
    )
    return soup.written(file, kept.merged)


class _Kept:
    """What a greedy soup has kept so far."""

    def __init__(self, merge: Merge) -> None:
        self.members: list[AnyIngredient] = []
        self.merged = merge.start()
        self._merge = merge

    def add(self, member: AnyIngredient, read: bool = True) -> None:
        self.members.append(member)
        if read:
            # Loaded once more rather than held in memory while it was scored.
            self.merged.add(member)

    def mixture(self, candidate: AnyIngredient) -> Candidate:
        """What is kept and a candidate; of use until something is added."""
        members = [*self.members, candidate]
        return Candidate(
            candidate.name,
            self._merge.recipe(members, [1.0] * len(members)),
            lambda out=None: self.merged.with_one_more(candidate, out),
        )

    def mixtures(
        self, candidates: Sequence[AnyIngredient], scorer: Scorer
    ) -> Iterator[Candidate]:
        """What will be scored if none of the candidates is kept."""
        for candidate in candidates:
            if not math.isnan(scorer.score(candidate)):
                yield self.mixture(candidate)


def _try(
    candidate: AnyIngredient,
    mixture: Candidate,
    present: Candidate,
    best: float,
    scorer: Scorer,
    options: GreedyOptions,
) -> Step:
    """Score what is kept together with a candidate, and decide."""
    if math.isnan(scorer.score(candidate)):
        return Step(candidate.name, None, best, False, 'its own score is NaN')
    score = scorer.evaluate(mixture, to_beat=best)
    if isinstance(score, NoBetterThan):
        why = 'cannot be better'
        return Step(candidate.name, None, best, False, why, bound=score.value)
    accepted = scorer.improves(score, best)
    why = reason(score, best, accepted)
    if not accepted:
        return Step(candidate.name, score, best, False, why)
    # While it can be made: once it is kept, it is what there is.
    taken, share, said = options.judge(mixture, present, scorer)
    return Step(candidate.name, score, best, taken, said or why, agreement=share)
