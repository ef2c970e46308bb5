"""The pruned soup: from all on, without those that hurt."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Candidate, NoBetterThan, Outcome, Scorer, Step
from ff_mm.merging.soup import MEAN, Soup
from ff_mm.merging.soups.margin import MarginOptions
from ff_mm.merging.soups.ranking import ranked


@dataclass(frozen=True)
class PrunedOptions(MarginOptions):
    """Options of a pruned soup: what is left out must be better surely."""

    soup: ClassVar[str] = 'pruned'


def pruned(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
    options: PrunedOptions = PrunedOptions(),
) -> Soup:
    """Make the pruned soup: start with all, and drop what hurts.

    One ingredient at a time is left out, from the worst one alone to the best, of equal
    ones the last first, and stays out if the others score better when they are merged
    without it. That goes round and round, until each one that is left has been tried
    once more and nothing was better without it. What was dropped is not taken up again.
    So the score is at least that of all together; nothing says that it is at least that
    of the best ingredient.

    Cost: the score of each ingredient, then at least one evaluation for each, and at
    most n(n + 1) / 2; each reads all that is left.

    Args:
        ingredients: Ingredients or soups. Those whose own score is NaN are left out
            at once.
        scorer: Ranks the ingredients and scores what is tried. If it accepts ties, an
            equal score without an ingredient is enough to drop it.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.
        merge: How they are combined.
        options: A margin.

    Returns:
        The soup, its members in the order given. A step that is accepted is one in
        which an ingredient has stayed; its score is that without the ingredient.

    Raises:
        FFMMError: If there are no ingredients, two different ones share a name, or
            all of them score NaN.
    """
    worst_first = ranked(ingredients, scorer, name)[::-1]
    bad = [i for i in worst_first if math.isnan(scorer.score(i))]
    left = _Left([i for i in ingredients if i not in bad], merge, name)
    best = scorer.score(left.soup())
    whole = f'{merge.type} of all {len(left.members)}'
    steps = [scorer.report(Step(name, best, None, True, whole))]
    for one in bad:
        why = 'its own score is NaN'
        steps.append(scorer.report(Step(one.name, None, best, False, why)))
    waiting = deque(i for i in worst_first if i not in bad)
    rejected = list(bad)
    stayed = 0  # how many in turn, since one was last dropped
    while stayed < len(waiting) and len(waiting) > 1:
        untried = list(waiting)[: len(waiting) - stayed]
        scorer.look_ahead(left.without_each(untried), best)
        candidate = waiting.popleft()
        without = left.without(candidate)
        outcome = scorer.evaluate(without, to_beat=best)
        step = _decide(candidate, outcome, best, scorer)
        if not step.accepted:
            step = _surely(step, without, left.present(), scorer, options)
        steps.append(scorer.report(step))
        if step.accepted:
            waiting.append(candidate)
            stayed += 1
        else:
            assert step.score is not None
            best = step.score
            left.members.remove(candidate)
            rejected.append(candidate)
            stayed = 0
    return left.soup(best, tuple(steps), tuple(rejected)).written(file)


class _Left:
    """What a pruned soup has left so far."""

    def __init__(
        self, members: Sequence[AnyIngredient], merge: Merge, name: str
    ) -> None:
        self.members = list(members)
        self._merge = merge
        self._name = name

    def soup(
        self,
        score: float | None = None,
        steps: tuple[Step, ...] = (),
        rejected: tuple[AnyIngredient, ...] = (),
    ) -> Soup:
        """The soup of what is left."""
        members = tuple(self.members)
        return Soup(
            self._name,
            'pruned',
            members,
            score,
            steps,
            rejected,
            merge=self._how(members),
        )

    def present(self) -> Candidate:
        """What is left, with none left out."""
        soup = self.soup()
        return Candidate(soup.name, soup.recipe, soup.load)

    def without(self, candidate: AnyIngredient) -> Candidate:
        """What is left but for one."""
        others = tuple(member for member in self.members if member is not candidate)
        soup = Soup(candidate.name, 'pruned', others, merge=self._how(others))
        return Candidate(f'all but {candidate.name}', soup.recipe, soup.load)

    def without_each(self, candidates: Sequence[AnyIngredient]) -> Iterator[Candidate]:
        """What will be scored if each of these stays."""
        return map(self.without, candidates)

    def _how(self, members: Sequence[AnyIngredient]) -> Merge:
        # One alone is taken as it is, as by a greedy soup.
        return self._merge if len(members) > 1 else MEAN


def _decide(
    candidate: AnyIngredient, outcome: Outcome, best: float, scorer: Scorer
) -> Step:
    """Say whether an ingredient stays, given the score without it."""
    if isinstance(outcome, NoBetterThan):
        why = 'cannot be better without'
        return Step(candidate.name, None, best, True, why, bound=outcome.value)
    stays = not scorer.improves(outcome, best)
    return Step(candidate.name, outcome, best, stays, _reason(outcome, best, stays))


def _surely(
    step: Step,
    without: Candidate,
    present: Candidate,
    scorer: Scorer,
    options: PrunedOptions,
) -> Step:
    """Let an ingredient stay, without which it is better, if that is not sure."""
    taken, share, said = options.judge(without, present, scorer)
    reason = f'{said}, without' if said else step.reason
    return replace(step, accepted=not taken, reason=reason, agreement=share)


def _reason(score: float, best: float, stays: bool) -> str:
    if math.isnan(score):
        return 'the score without is NaN'
    if score == best:
        return 'a tie without' if stays else 'a tie without, dropped'
    return 'worse without' if stays else 'better without'
