"""Model soups: the mean of all, a greedy choice, and the best single model.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time", ICML 2022 (arXiv 2203.05482).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.merging.ingredient import Ingredient, hashable
from ff_mm.merging.mean import RunningMean
from ff_mm.merging.state_dict import StateDict


@dataclass(frozen=True)
class Step:
    """One decision on the way to a soup.

    Attributes:
        candidate: The name of what was considered.
        score: What the soup would score with it; None if that was not needed.
        best: The best score so far; None at the start.
        accepted: Whether it went in.
        reason: Why, in a few words.
    """

    candidate: str
    score: float | None
    best: float | None
    accepted: bool
    reason: str


@dataclass(frozen=True, eq=False)
class Soup:
    """The mean of its members, which weigh equally. A soup is again an ingredient.

    Attributes:
        name: How it is called among the ingredients of the level above.
        method: How its members were chosen, a key of :data:`SOUPS`.
        members: What went in, in the order in which it was added.
        score: Its validation metric.
        steps: The decisions that led to it.
        rejected: What was considered and left out.
    """

    name: str
    method: str
    members: tuple[Ingredient | Soup, ...]
    score: float | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[Ingredient | Soup, ...] = ()

    def load(self) -> StateDict:
        """Compute the weights by reading the members one after the other.

        Nothing is kept between calls. Memory: a double precision accumulator a level
        of nesting (see :class:`~ff_mm.merging.mean.RunningMean`) and the weights of
        one member, however many members there are. Integer entries are those of the
        first member.
        """
        if len(self.members) == 1:
            return self.members[0].load()
        mean = RunningMean()
        for member in self.members:
            mean.add(member.load())
        return mean.pop()

    @property
    def hyper(self) -> dict[str, Any]:
        """The hyper-parameters on which all members agree."""
        first, *others = (member.hyper for member in self.members)
        return {
            key: value
            for key, value in first.items()
            if all(
                key in other and hashable(other[key]) == hashable(value)
                for other in others
            )
        }

    @property
    def recipe(self) -> dict[str, float]:
        """Weight by name of the ingredients at the bottom; the weights sum to 1."""
        return _mixed(self.members)

    @property
    def level(self) -> int:
        """How many levels of soup this is, itself included."""
        return 1 + max(member.level for member in self.members + self.rejected)


AnyIngredient = Ingredient | Soup


def _mixed(members: Sequence[AnyIngredient]) -> dict[str, float]:
    """The recipe of members that weigh equally; what they share adds up."""
    recipe: dict[str, float] = {}
    for member in members:
        for name, weight in member.recipe.items():
            recipe[name] = recipe.get(name, 0.0) + weight / len(members)
    return recipe


class Scorer:
    """Scores soups on validation, each at most once, and says which one is better.

    Equal recipes are equal soups, so use one scorer for one set of ingredients: across
    several soups of them it then saves every evaluation that they have in common.

    Args:
        score: The validation metric of some weights.
        rule: Whether a ``'greater'`` or a ``'less'`` score is better.
        accept_ties: Whether an equal score is good enough to keep a candidate: True in
            the text of Wortsman et al. 2022, False in their code and that of
            FissionFusion.
        on_step: Called with each :class:`Step` as it happens, to show progress.

    Raises:
        ConfigError: If the rule is neither of the two.
    """

    def __init__(
        self,
        score: Callable[[StateDict], float],
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
        self._known: dict[frozenset[tuple[str, float]], float] = {}

    def score(self, ingredient: AnyIngredient) -> float:
        """Return the score of an ingredient or soup: known, remembered or evaluated."""
        if ingredient.score is not None:
            return float(ingredient.score)
        return self.evaluate(ingredient.recipe, ingredient.load)

    def evaluate(
        self, recipe: Mapping[str, float], load: Callable[[], StateDict]
    ) -> float:
        """Return the score of a recipe, evaluating it if it is new.

        Args:
            recipe: Weight by ingredient name.
            load: Makes the weights; called only if the recipe is new.
        """
        # Rounded, since equal weights can come about by sums in different orders.
        key = frozenset((name, round(weight, 12)) for name, weight in recipe.items())
        if key not in self._known:
            self.evaluations += 1
            self._known[key] = float(self._score(load()))
        return self._known[key]

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


def uniform(ingredients: Sequence[AnyIngredient], scorer: Scorer, name: str) -> Soup:
    """Make the uniform soup: the mean of all ingredients.

    Args:
        ingredients: Ingredients or soups.
        scorer: Scores the soup, once, and not at all if a lone ingredient's is known.
        name: The name of the soup.

    Returns:
        The soup. Its score may be NaN.

    Raises:
        FFMMError: If there are no ingredients, or two different ones share a name.
    """
    require_distinct_names(ingredients, name)
    members = tuple(ingredients)
    score = (
        scorer.score(members[0])
        if len(members) == 1
        else scorer.score(Soup(name, 'uniform', members))
    )
    step = Step(name, score, None, True, f'mean of all {len(members)}')
    return Soup(name, 'uniform', members, score, (scorer.report(step),))


def greedy(ingredients: Sequence[AnyIngredient], scorer: Scorer, name: str) -> Soup:
    """Make the greedy soup (Wortsman et al. 2022, recipe 1).

    Starting from the best, candidates are taken in the order of their scores, and kept
    if the mean of those kept so far plus the candidate scores better.

    Args:
        ingredients: Ingredients or soups.
        scorer: Ranks the ingredients and scores the means.
        name: The name of the soup.

    Returns:
        The soup; its weights are bit for bit those that were scored.

    Raises:
        FFMMError: If there are no ingredients, two different ones share a name, or
            all of them score NaN.
    """
    first, *candidates = _ranked(ingredients, scorer, name)
    best = scorer.score(first)
    kept, rejected = [first], []
    steps = [scorer.report(Step(first.name, best, None, True, 'the best one alone'))]
    mean = RunningMean()
    if candidates:
        mean.add(first.load())
    for candidate in candidates:
        step = _try(candidate, kept, mean, best, scorer)
        steps.append(scorer.report(step))
        if not step.accepted:
            rejected.append(candidate)
            continue
        best = step.score
        kept.append(candidate)
        # Loaded once more rather than held in memory while it is scored.
        mean.add(candidate.load())
    return Soup(name, 'greedy', tuple(kept), best, tuple(steps), tuple(rejected))


def _try(
    candidate: AnyIngredient,
    kept: Sequence[AnyIngredient],
    mean: RunningMean,
    best: float,
    scorer: Scorer,
) -> Step:
    """Score the mean of ``kept`` (which is ``mean``) and the candidate, and decide."""
    if math.isnan(scorer.score(candidate)):
        return Step(candidate.name, None, best, False, 'its own score is NaN')
    score = scorer.evaluate(
        _mixed([*kept, candidate]), lambda: mean.mean_with(candidate.load())
    )
    accepted = scorer.improves(score, best)
    return Step(candidate.name, score, best, accepted, _reason(score, best, accepted))


def _reason(score: float, best: float, accepted: bool) -> str:
    if math.isnan(score):
        return 'the score is NaN'
    if score == best:
        return 'a tie, accepted' if accepted else 'a tie, not better'
    return 'better' if accepted else 'worse'


def best(ingredients: Sequence[AnyIngredient], scorer: Scorer, name: str) -> Soup:
    """Take the best single ingredient, as grid search does.

    Args:
        ingredients: Ingredients or soups; of equal ones the first is taken.
        scorer: Ranks them.
        name: The name of the soup.

    Returns:
        A soup of one member.

    Raises:
        FFMMError: As :func:`greedy` does.
    """
    first, *others = _ranked(ingredients, scorer, name)
    top = scorer.score(first)
    steps = [Step(first.name, top, None, True, 'the best one')]
    for other in others:
        score = scorer.score(other)
        steps.append(Step(other.name, score, top, False, _reason(score, top, False)))
    for step in steps:
        scorer.report(step)
    return Soup(name, 'best', (first,), top, tuple(steps), tuple(others))


SoupMethod = Callable[[Sequence[AnyIngredient], Scorer, str], Soup]

SOUPS: dict[str, SoupMethod] = dict(uniform=uniform, greedy=greedy, best=best)


def _ranked(
    ingredients: Sequence[AnyIngredient], scorer: Scorer, name: str
) -> list[AnyIngredient]:
    """Check the ingredients and sort them, best first."""
    require_distinct_names(ingredients, name)
    ranked = scorer.order(ingredients)
    if math.isnan(scorer.score(ranked[0])):
        names = ', '.join(ingredient.name for ingredient in ranked)
        raise FFMMError(f'soup {name!r}: the score of every ingredient is NaN: {names}')
    return ranked


def require_distinct_names(ingredients: Sequence[AnyIngredient], name: str) -> None:
    """Refuse what recipes, which go by name, could not tell apart.

    One and the same ingredient may be a member of several soups.

    Raises:
        FFMMError: If there are no ingredients, or two different ones share a name.
    """
    if not ingredients:
        raise FFMMError(f'soup {name!r}: there are no ingredients')
    known: dict[str, Ingredient] = {}
    for leaf in _leaves(ingredients):
        if known.setdefault(leaf.name, leaf) is not leaf:
            raise FFMMError(
                f'soup {name!r}: two ingredients are called {leaf.name!r}; '
                f'give each its own name'
            )


def _leaves(ingredients: Sequence[AnyIngredient]) -> Iterator[Ingredient]:
    for ingredient in ingredients:
        if isinstance(ingredient, Soup):
            yield from _leaves(ingredient.members)
        else:
            yield ingredient
