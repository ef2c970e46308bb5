"""Scores of candidates: none is evaluated twice, or further than a decision needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging.state_dict import StateDict

if TYPE_CHECKING:
    from ff_mm.merging.soup import AnyIngredient


@dataclass(frozen=True)
class Step:
    """One decision on the way to a soup.

    Attributes:
        candidate: The name of what was considered.
        score: What the soup would score with it; None if that was not needed.
        best: The best score so far; None at the start.
        accepted: Whether it went in.
        reason: Why, in a few words.
        bound: Where the evaluation was stopped early: the score would have been no
            better than this. None wherever there is a score.
    """

    candidate: str
    score: float | None
    best: float | None
    accepted: bool
    reason: str
    bound: float | None = None


@dataclass(frozen=True)
class NoBetterThan:
    """The outcome of an evaluation that was stopped early.

    Attributes:
        value: A sound bound: the full score is not better, by the scorer's rule.
    """

    value: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mean of ingredients that is to be scored.

    Attributes:
        name: How to call it in messages.
        recipe: Weight by ingredient name; equal recipes are equal weights.
        load: ``load(out=None)`` makes the weights, the same at each call. Without
            ``out`` they come in tensors that are the caller's to keep but not to
            change; with ``out``, a state dict of the same keys, shapes and dtypes on
            any device and of any strides, they are written into its tensors, and it
            is returned.
    """

    name: str
    recipe: Mapping[str, float]
    load: Callable[..., StateDict]


ScoreFunction = Callable[[Candidate, float | None], float | NoBetterThan]


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

    Attributes:
        evaluations: How often ``score`` was called.

    Raises:
        ConfigError: If the rule is neither of the two.
    """

    def __init__(
        self,
        score: ScoreFunction,
        rule: Literal['greater', 'less'] = 'greater',
        accept_ties: bool = False,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        if rule not in ('greater', 'less'):
            raise ConfigError(f"rule must be 'greater' or 'less', got {rule!r}")
        self.rule = rule
        self.accept_ties = accept_ties
        self.evaluations = 0
        self._score = score
        self._on_step = on_step
        self._known: dict[frozenset[tuple[str, float]], float | NoBetterThan] = {}

    def score(self, ingredient: AnyIngredient) -> float:
        """Return the score of an ingredient or soup: known, remembered or evaluated."""
        self._remember(ingredient)
        if ingredient.score is not None:
            return float(ingredient.score)
        return self.evaluate(
            Candidate(ingredient.name, ingredient.recipe, ingredient.load)
        )

    def evaluate(
        self, candidate: Candidate, to_beat: float | None = None
    ) -> float | NoBetterThan:
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
        key = _key(candidate.recipe)
        known = self._known.get(key)
        if known is None or not self._decides(known, to_beat):
            self.evaluations += 1
            known = self._score(candidate, to_beat)
            if not self._decides(known, to_beat):
                raise FFMMError(
                    f'candidate {candidate.name!r}: its evaluation was stopped at '
                    f'{known}, which does not say whether it improves on {to_beat} '
                    f'(rule {self.rule!r}, accept_ties={self.accept_ties}); stop only '
                    f'where it cannot, and never where the full score is needed'
                )
            if not isinstance(known, NoBetterThan):
                known = float(known)
            self._known[key] = known
        return known

    def improves(self, new: float, old: float) -> bool:
        """Say whether a score is good enough to replace another; NaN never is."""
        if math.isnan(new) or math.isnan(old):
            return not math.isnan(new)
        if new == old:
            return self.accept_ties
        return (new > old) == (self.rule == 'greater')

    def order(self, ingredients: Sequence[AnyIngredient]) -> list[AnyIngredient]:
        """Sort by score, best first and NaN last; equal ones keep their order."""
        sign = -1.0 if self.rule == 'greater' else 1.0

        def rank(ingredient: AnyIngredient) -> tuple[bool, float]:
            score = self.score(ingredient)
            return (True, 0.0) if math.isnan(score) else (False, sign * score)

        return sorted(ingredients, key=rank)

    def report(self, step: Step) -> Step:
        """Pass a step on to ``on_step``, and return it."""
        if self._on_step is not None:
            self._on_step(step)
        return step

    def _remember(self, ingredient: AnyIngredient) -> None:
        """Keep known scores, so that no candidate of the same recipe is evaluated."""
        if ingredient.score is not None:
            self._known[_key(ingredient.recipe)] = float(ingredient.score)
        else:
            for member in getattr(ingredient, 'members', ()):
                self._remember(member)

    def _decides(self, outcome: float | NoBetterThan, to_beat: float | None) -> bool:
        """Say whether an outcome is enough to tell if ``to_beat`` is improved upon."""
        if not isinstance(outcome, NoBetterThan):
            return True
        if to_beat is None or math.isnan(outcome.value):
            return False
        return not self.improves(outcome.value, to_beat)


def _key(recipe: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    # Rounded, since equal weights can come about by sums in different orders.
    return frozenset((name, round(weight, 12)) for name, weight in recipe.items())
