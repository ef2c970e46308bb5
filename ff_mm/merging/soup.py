"""Model soups: the mean of all, a greedy choice, and the best single model.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time", ICML 2022 (arXiv 2203.05482).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ff_mm.errors import FFMMError
from ff_mm.files import PathLike
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import Ingredient, hashable
from ff_mm.merging.mean import RunningMean
from ff_mm.merging.scorer import Candidate, NoBetterThan, Scorer, Step
from ff_mm.merging.state_dict import StateDict, copy_weights, write_checkpoint


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
        checkpoint: A file of its weights, if they have been written; see
            :meth:`written`.
    """

    name: str
    method: str
    members: tuple[Ingredient | Soup, ...]
    score: float | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[Ingredient | Soup, ...] = ()
    checkpoint: CheckpointFile | None = None

    def load(self, out: StateDict | None = None) -> StateDict:
        """Return the weights: from their file, or of members read one after the other.

        Nothing is kept between calls. Memory: a double precision sum a level of soups
        that are not in files (see :class:`~ff_mm.merging.mean.RunningMean`) and the
        result, however many members there are. Integer entries are those of the first
        member.

        Args:
            out: Where to write the weights, of the same keys, shapes and dtypes, on any
                device and of any strides.

        Returns:
            ``out``, or new tensors.

        Raises:
            ValueError: If the members, or ``out``, are not of one architecture.
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            weights = self.checkpoint.weights()
            return weights if out is None else copy_weights(weights, out, self.name)
        if len(self.members) == 1:
            return self.members[0].load(out)
        mean = RunningMean()
        for member in ahead(self.members):
            mean.add(member.in_passing())
        return mean.pop(out)

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights for reading them once; of a file, hardly any is resident.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            return self.checkpoint.in_passing()
        return self.members[0].in_passing() if len(self.members) == 1 else self.load()

    def prefetch(self) -> None:
        """Ask the system to bring what is read first into its cache.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            self.checkpoint.prefetch()
        else:
            self.members[0].prefetch()

    def written(self, file: PathLike | None, mean: RunningMean | None = None) -> Soup:
        """Return this soup with its weights in a file, which is then all that it reads.

        A soup of one member is returned as it is: reading that is as good.

        Args:
            file: Where to write them, atomically; None leaves the soup as it is.
            mean: The mean of the members, if it is at hand; it is used up.
        """
        if file is None or len(self.members) == 1:
            return self
        weights = self.load() if mean is None else mean.pop()
        write_checkpoint({'state_dict': weights}, file)
        return replace(self, checkpoint=CheckpointFile(file))

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


def ahead(ingredients: Sequence[AnyIngredient]) -> Iterator[AnyIngredient]:
    """Go through ingredients, having the next one's file read while one is at work."""
    for i, ingredient in enumerate(ingredients):
        if i == 0:
            ingredient.prefetch()
        if i + 1 < len(ingredients):
            ingredients[i + 1].prefetch()
        yield ingredient


def _mixed(members: Sequence[AnyIngredient]) -> dict[str, float]:
    """The recipe of members that weigh equally; what they share adds up."""
    recipe: dict[str, float] = {}
    for member in members:
        for name, weight in member.recipe.items():
            recipe[name] = recipe.get(name, 0.0) + weight / len(members)
    return recipe


def uniform(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
) -> Soup:
    """Make the uniform soup: the mean of all ingredients.

    Args:
        ingredients: Ingredients or soups.
        scorer: Scores the soup, once, and not at all if a lone ingredient's is known.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.

    Returns:
        The soup. Its score may be NaN.

    Raises:
        FFMMError: If there are no ingredients, or two different ones share a name.
    """
    require_distinct_names(ingredients, name)
    soup = Soup(name, 'uniform', tuple(ingredients)).written(file)
    score = scorer.score(ingredients[0] if len(ingredients) == 1 else soup)
    step = Step(name, score, None, True, f'mean of all {len(ingredients)}')
    return replace(soup, score=score, steps=(scorer.report(step),))


def greedy(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
) -> Soup:
    """Make the greedy soup (Wortsman et al. 2022, recipe 1).

    Starting from the best, candidates are taken in the order of their scores, and kept
    if the mean of those kept so far plus the candidate scores better.

    Args:
        ingredients: Ingredients or soups.
        scorer: Ranks the ingredients and scores the means.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.

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
        mean.add(first.in_passing())
    for number, candidate in enumerate(ahead(candidates)):
        scorer.look_ahead(_mixtures(candidates[number:], kept, mean, scorer), best)
        step = _try(candidate, kept, mean, best, scorer)
        steps.append(scorer.report(step))
        if not step.accepted:
            rejected.append(candidate)
            continue
        best = step.score
        kept.append(candidate)
        # Loaded once more rather than held in memory while it is scored.
        mean.add(candidate.in_passing())
    soup = Soup(name, 'greedy', tuple(kept), best, tuple(steps), tuple(rejected))
    return soup.written(file, mean)


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
    score = scorer.evaluate(_mixture(candidate, kept, mean), to_beat=best)
    if isinstance(score, NoBetterThan):
        reason = 'cannot be better'
        return Step(candidate.name, None, best, False, reason, bound=score.value)
    accepted = scorer.improves(score, best)
    return Step(candidate.name, score, best, accepted, _reason(score, best, accepted))


def _mixture(
    candidate: AnyIngredient, kept: Sequence[AnyIngredient], mean: RunningMean
) -> Candidate:
    """The mean of ``kept`` and a candidate, as long as ``mean`` is that of ``kept``."""
    return Candidate(
        candidate.name,
        _mixed([*kept, candidate]),
        lambda out=None: mean.mean_with(candidate.in_passing(), out=out),
    )


def _mixtures(
    candidates: Sequence[AnyIngredient],
    kept: Sequence[AnyIngredient],
    mean: RunningMean,
    scorer: Scorer,
) -> Iterator[Candidate]:
    """What will be scored if none of the candidates is kept."""
    for candidate in candidates:
        if not math.isnan(scorer.score(candidate)):
            yield _mixture(candidate, kept, mean)


def _reason(score: float, best: float, accepted: bool) -> str:
    if math.isnan(score):
        return 'the score is NaN'
    if score == best:
        return 'a tie, accepted' if accepted else 'a tie, not better'
    return 'better' if accepted else 'worse'


def best(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
) -> Soup:
    """Take the best single ingredient, as grid search does.

    Args:
        ingredients: Ingredients or soups; of equal ones the first is taken.
        scorer: Ranks them.
        name: The name of the soup.
        file: Not needed, since a lone ingredient is read as easily.

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


SoupMethod = Callable[[Sequence[AnyIngredient], Scorer, str, PathLike | None], Soup]

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
