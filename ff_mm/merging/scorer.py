"""Scores of candidates: none is evaluated twice, or further than a decision needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging.candidate import Candidate
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.recipe import Identity, Recipe, identity
from ff_mm.merging.validation import Ensembles, Losses, Margins

T = TypeVar('T')


@dataclass(frozen=True)
class Step:
    """One decision on the way to a soup.

    Attributes:
        candidate: The name of what was considered.
        score: What the soup would score with it, of a pruned soup without it; None if
            that was not needed.
        best: The best score so far; None at the start.
        accepted: Whether it went in.
        reason: Why, in a few words.
        bound: Where the evaluation was stopped early: the score would have been no
            better than this. None wherever there is a score.
        agreement: In which part of resamples the step was better, where a margin asked.
    """

    candidate: str
    score: float | None
    best: float | None
    accepted: bool
    reason: str
    bound: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class NoBetterThan:
    """The outcome of an evaluation that was stopped early.

    Attributes:
        value: A sound bound: the full score is not better, by the scorer's rule.
    """

    value: float


#: A score, or a bound that settles the matter.
Outcome = float | NoBetterThan

#: Which value of a metric is the better one.
Rule = Literal['greater', 'less']


class Memory(Protocol):
    """What is known of candidates by their recipes."""

    def recall(self, recipe: Recipe) -> Outcome | None:
        """Return what is known; the score if there is one; None: nothing."""

    def keep(self, recipe: Recipe, outcome: Outcome) -> None:
        """Take note of what was found."""


class _Known(dict[Identity, Outcome]):
    """A memory that lasts as long as the scorer."""

    def recall(self, recipe: Recipe) -> Outcome | None:
        return self.get(identity(recipe))

    def keep(self, recipe: Recipe, outcome: Outcome) -> None:
        self[identity(recipe)] = outcome


ScoreFunction = Callable[[Candidate, float | None], Outcome]
ScoreManyFunction = Callable[[Sequence[Candidate], float | None], Sequence[Outcome]]


class Scorer:
    """Scores soups on validation, each at most once, and says which one is better.

    Equal recipes are equal soups, so use one scorer for one set of ingredients: across
    several soups of them it then saves every evaluation that they have in common.

    Args:
        score: ``score(candidate, to_beat)`` returns the validation metric of a
            candidate. ``to_beat`` is the score that it must improve upon to be of
            use, or None if the full score is needed. As soon as the candidate cannot
            improve on it any more, the function may stop and return
            :class:`NoBetterThan`.
        rule: Whether a ``'greater'`` or a ``'less'`` score is better.
        accept_ties: Whether an equal score is good enough to keep a candidate: True in
            the text of Wortsman et al. 2022, False in their code and that of
            FissionFusion.
        on_step: Called with each :class:`Step` as it happens, to show progress.
        score_many: ``score_many(candidates, to_beat)`` returns what ``score`` returns
            of each of them, or of the first one or more, and takes less time than one
            after the other. Then candidates that may be needed are evaluated ahead of
            need. That decides nothing: outcomes are looked up when their turn comes.
            None: only what is needed is evaluated.
        at_once: How many candidates ``score_many`` is given at most.
        memory: Where what was found is looked up; None: a new one, in memory.
        ensembles: What models say of each case, for soups that need it.
        losses: The loss and its gradient, likewise.
        margins: How sure it is that one model is better than another, likewise.

    Attributes:
        ensembles: As given.
        losses: As given.
        margins: As given.
        evaluations: How many candidates were evaluated.
        margin_asked: How many steps scored better and were put to a margin.
        margin_refused: How many of them it refused.

    Raises:
        ConfigError: If the rule is neither of the two.
    """

    def __init__(
        self,
        score: ScoreFunction,
        rule: Rule = 'greater',
        accept_ties: bool = False,
        on_step: Callable[[Step], None] | None = None,
        score_many: ScoreManyFunction | None = None,
        at_once: int = 1,
        memory: Memory | None = None,
        ensembles: Ensembles | None = None,
        losses: Losses | None = None,
        margins: Margins | None = None,
    ) -> None:
        if rule not in ('greater', 'less'):
            raise ConfigError(f"rule must be 'greater' or 'less', got {rule!r}")
        self.rule = rule
        self.accept_ties = accept_ties
        self.ensembles = ensembles
        self.losses = losses
        self.margins = margins
        self.margin_asked = 0
        self.margin_refused = 0
        self.evaluations = 0
        self._score = score
        self._on_step = on_step
        self._score_many = score_many
        self._at_once = at_once
        self._memory = _Known() if memory is None else memory
        self._ahead: dict[Identity, Recipe] = {}
        self._given: set[Identity] = set()
        self._evaluated: set[Identity] = set()
        self._recalled: set[Identity] = set()

    @property
    def remembered(self) -> int:
        """How many candidates were needed that the memory knew from before."""
        return len(self._recalled)

    @property
    def in_vain(self) -> list[Recipe]:
        """Recipes of what was evaluated ahead and has not been needed."""
        return list(self._ahead.values())

    def score(self, ingredient: AnyIngredient) -> float:
        """Return the score of an ingredient or soup: known, remembered or evaluated."""
        self._remember(ingredient)
        if ingredient.score is not None:
            return float(ingredient.score)
        score = self.evaluate(
            Candidate(ingredient.name, ingredient.recipe, ingredient.load)
        )
        assert not isinstance(score, NoBetterThan)  # there was nothing to beat
        return score

    def evaluate(self, candidate: Candidate, to_beat: float | None = None) -> Outcome:
        """Return the score of a candidate, evaluating it if it is not known.

        Args:
            candidate: What to score; it is loaded only if it is evaluated.
            to_beat: The score that it must improve upon to be of use; None: its full
                score is needed, and returned.

        Returns:
            The score; or, given ``to_beat``, a bound that does not improve on it.

        Raises:
            FFMMError: If the evaluation was stopped although the candidate could
                still have improved on ``to_beat``: nothing could be decided by it.
        """
        key = identity(candidate.recipe)
        self._ahead.pop(key, None)
        known = self._recall(candidate.recipe, to_beat)
        if known is None:
            return self._keep(candidate, self._score(candidate, to_beat), to_beat)
        if key not in self._evaluated | self._given:
            self._recalled.add(key)
        return known

    def score_all(self, ingredients: Iterable[AnyIngredient]) -> None:
        """Evaluate, several at once, what is unknown of scores that will be needed.

        Does nothing without ``score_many``.

        Args:
            ingredients: Ingredients or soups whose scores are going to be asked for.
        """
        if self._score_many is None:
            return
        unknown: dict[Identity, Candidate] = {}
        for ingredient in ingredients:
            self._remember(ingredient)
            if self._recall(ingredient.recipe, None) is None:
                candidate = Candidate(
                    ingredient.name, ingredient.recipe, ingredient.load
                )
                unknown.setdefault(identity(ingredient.recipe), candidate)
        waiting = list(unknown.values())
        while waiting:
            done = self._evaluate_ahead(waiting[: self._at_once], None)
            waiting = waiting[done:]

    def look_ahead(
        self, candidates: Iterable[Candidate], to_beat: float | None
    ) -> None:
        """Evaluate the next candidates at once, if the first of them is not known.

        Does nothing without ``score_many``.

        Args:
            candidates: What :meth:`evaluate` is going to be asked for, as long as none
                of them improves on ``to_beat``; taken one by one, until there are
                enough.
            to_beat: As for :meth:`evaluate`.
        """
        if self._score_many is None:
            return
        unknown: dict[Identity, Candidate] = {}
        for candidate in candidates:
            known = self._recall(candidate.recipe, to_beat)
            if known is None:
                unknown.setdefault(identity(candidate.recipe), candidate)
            elif not unknown or self._wins(known, to_beat):
                break  # nothing is needed now; or what follows will not be
            if len(unknown) == self._at_once:
                break
        if len(unknown) > 1:
            self._evaluate_ahead(list(unknown.values()), to_beat)

    def improves(self, new: float, old: float) -> bool:
        """Say whether a score is good enough to replace another; NaN never is."""
        if math.isnan(new) or math.isnan(old):
            return not math.isnan(new)
        if new == old:
            return self.accept_ties
        return (new > old) == (self.rule == 'greater')

    def order(self, ingredients: Sequence[AnyIngredient]) -> list[AnyIngredient]:
        """Sort by score, best first and NaN last; equal ones keep their order."""
        self.score_all(ingredients)
        return self.sorted(ingredients, [self.score(i) for i in ingredients])

    def sorted(self, items: Sequence[T], scores: Sequence[float]) -> list[T]:
        """Sort anything by scores, as :meth:`order` sorts ingredients."""
        sign = -1.0 if self.rule == 'greater' else 1.0

        def rank(number: int) -> tuple[bool, float]:
            score = scores[number]
            return (True, 0.0) if math.isnan(score) else (False, sign * score)

        return [items[number] for number in sorted(range(len(items)), key=rank)]

    def report(self, step: Step) -> Step:
        """Pass a step on to ``on_step``, and return it."""
        if self._on_step is not None:
            self._on_step(step)
        return step

    def _evaluate_ahead(
        self, candidates: Sequence[Candidate], to_beat: float | None
    ) -> int:
        assert self._score_many is not None
        outcomes = self._score_many(candidates, to_beat)
        for candidate, outcome in zip(candidates, outcomes, strict=False):
            self._keep(candidate, outcome, to_beat)
            self._ahead[identity(candidate.recipe)] = candidate.recipe
        return max(1, len(outcomes))  # what is passed over is evaluated when needed

    def _keep(
        self, candidate: Candidate, outcome: Outcome, to_beat: float | None
    ) -> Outcome:
        """Take note of an outcome, if something can be decided by it."""
        self.evaluations += 1
        if not self._decides(outcome, to_beat):
            raise FFMMError(
                f'candidate {candidate.name!r}: its evaluation was stopped at '
                f'{outcome}, which does not say whether it improves on {to_beat} '
                f'(rule {self.rule!r}, accept_ties={self.accept_ties}); stop only '
                f'where it cannot, and never where the full score is needed'
            )
        if not isinstance(outcome, NoBetterThan):
            outcome = float(outcome)
        self._memory.keep(candidate.recipe, outcome)
        self._evaluated.add(identity(candidate.recipe))
        return outcome

    def _recall(self, recipe: Recipe, to_beat: float | None) -> Outcome | None:
        """What is known, if it is enough to decide by."""
        known = self._memory.recall(recipe)
        return known if known is not None and self._decides(known, to_beat) else None

    def _wins(self, outcome: Outcome, to_beat: float | None) -> bool:
        if isinstance(outcome, NoBetterThan) or to_beat is None:
            return False
        return self.improves(outcome, to_beat)

    def _remember(self, ingredient: AnyIngredient) -> None:
        """Keep known scores, so that no candidate of the same recipe is evaluated."""
        if ingredient.score is not None:
            self._memory.keep(ingredient.recipe, float(ingredient.score))
            self._given.add(identity(ingredient.recipe))
        else:
            for member in getattr(ingredient, 'members', ()):
                self._remember(member)

    def _decides(self, outcome: Outcome, to_beat: float | None) -> bool:
        """Say whether an outcome is enough to tell if ``to_beat`` is improved upon."""
        if not isinstance(outcome, NoBetterThan):
            return True
        if to_beat is None or math.isnan(outcome.value):
            return False
        return not self.improves(outcome.value, to_beat)
