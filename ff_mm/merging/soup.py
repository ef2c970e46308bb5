"""Model soups, WHICH ingredients go in: all, a greedy choice, or the best one.

HOW they are combined is the other axis, see :mod:`ff_mm.merging.methods`.

Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
accuracy without increasing inference time", ICML 2022 (arXiv 2203.05482).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from torch import Tensor

from ff_mm.errors import FFMMError
from ff_mm.files import PathLike
from ff_mm.merging.checkpoint_file import CheckpointFile
from ff_mm.merging.ingredient import AnyIngredient, ahead, hashable
from ff_mm.merging.merge import Merge
from ff_mm.merging.methods import Running
from ff_mm.merging.recipe import Recipe
from ff_mm.merging.scorer import Candidate, NoBetterThan, Scorer, Step
from ff_mm.merging.state_dict import StateDict, copy_weights, write_checkpoint

MEAN = Merge()


@dataclass(frozen=True, eq=False)
class Soup:
    """Members, and how they are combined. A soup is again an ingredient.

    Attributes:
        name: How it is called among the ingredients of the level above.
        method: How its members were chosen, a key of :data:`SOUPS`.
        members: What went in, in the order in which it was added.
        score: Its validation metric.
        steps: The decisions that led to it.
        rejected: What was considered and left out.
        checkpoint: A file of its weights, if they have been written; see
            :meth:`written`.
        merge: How its members are combined.
        weights: How much of each member goes in; None: as much of each.
    """

    name: str
    method: str
    members: tuple[AnyIngredient, ...]
    score: float | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[AnyIngredient, ...] = ()
    checkpoint: CheckpointFile | None = None
    merge: Merge = MEAN
    weights: tuple[float, ...] | None = None

    def __init_subclass__(cls) -> NoReturn:
        # One with other weights would go by the recipe, and the score, of this one.
        raise TypeError(
            'a soup says which ingredients go in; how their weights are combined is '
            'said by a merging method, see ff_mm.merging.methods'
        )

    @property
    def shares(self) -> tuple[float, ...]:
        """How much of each member goes in."""
        return self.weights or (1.0,) * len(self.members)

    def load(self, out: StateDict | None = None) -> StateDict:
        """Return the weights: from their file, or of members read one after the other.

        Nothing is kept between calls. Memory, where soups are means: a double precision
        sum a level of soups that are not in files (see
        :class:`~ff_mm.merging.mean.RunningMean`) and the result, however many members
        there are. Integer entries are those of the first member.

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
        return self.merge.load(self.members, self.shares, out)

    def in_passing(self) -> Mapping[str, Tensor]:
        """Return the weights for reading them once; of a file, hardly any is resident.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            return self.checkpoint.in_passing()
        return self.members[0].in_passing() if self.is_its_member else self.load()

    def prefetch(self) -> None:
        """Ask the system to bring what is read first into its cache.

        Raises:
            CheckpointError: If a file cannot be read.
        """
        if self.checkpoint is not None:
            self.checkpoint.prefetch()
        else:
            self.members[0].prefetch()

    @property
    def is_its_member(self) -> bool:
        """Whether it has but one member, and the weights of that."""
        return len(self.members) == 1 and self.merge.method.is_mean

    def written(self, file: PathLike | None, merged: Running | None = None) -> Soup:
        """Return this soup with its weights in a file, which is then all that it reads.

        A mean of one member is returned as it is: reading that is as good.

        Args:
            file: Where to write them, atomically; None leaves the soup as it is.
            merged: The members merged, if that is at hand; it is used up.
        """
        if file is None or self.is_its_member:
            return self
        weights = self.load() if merged is None else merged.pop()
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
    def recipe(self) -> Recipe:
        """What identifies its weights; of means, weight by name of ingredients."""
        return self.merge.recipe(self.members, self.shares)

    @property
    def level(self) -> int:
        """How many levels of soup this is, itself included."""
        return 1 + max(member.level for member in self.members + self.rejected)


def uniform(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
) -> Soup:
    """Make the uniform soup: all ingredients, as much of each.

    Args:
        ingredients: Ingredients or soups.
        scorer: Scores the soup, once, and not at all if a lone ingredient's is known.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.
        merge: How they are combined.

    Returns:
        The soup. Its score may be NaN.

    Raises:
        FFMMError: If there are no ingredients, or two different ones share a name.
    """
    require_distinct_names(ingredients, name)
    soup = Soup(name, 'uniform', tuple(ingredients), merge=merge).written(file)
    score = scorer.score(ingredients[0] if soup.is_its_member else soup)
    step = Step(name, score, None, True, f'{merge.type} of all {len(ingredients)}')
    return replace(soup, score=score, steps=(scorer.report(step),))


def greedy(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
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

    Returns:
        The soup; its weights are bit for bit those that were scored.

    Raises:
        FFMMError: If there are no ingredients, two different ones share a name, or
            all of them score NaN.
    """
    first, *candidates = _ranked(ingredients, scorer, name)
    best = scorer.score(first)
    rejected: list[AnyIngredient] = []
    steps = [scorer.report(Step(first.name, best, None, True, 'the best one alone'))]
    kept = _Kept(merge)
    kept.add(first, read=bool(candidates))
    for number, candidate in enumerate(ahead(candidates)):
        scorer.look_ahead(kept.mixtures(candidates[number:], scorer), best)
        step = _try(candidate, kept, best, scorer)
        steps.append(scorer.report(step))
        if step.accepted and step.score is not None:
            best = step.score
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


def _try(candidate: AnyIngredient, kept: _Kept, best: float, scorer: Scorer) -> Step:
    """Score what is kept together with a candidate, and decide."""
    if math.isnan(scorer.score(candidate)):
        return Step(candidate.name, None, best, False, 'its own score is NaN')
    score = scorer.evaluate(kept.mixture(candidate), to_beat=best)
    if isinstance(score, NoBetterThan):
        reason = 'cannot be better'
        return Step(candidate.name, None, best, False, reason, bound=score.value)
    accepted = scorer.improves(score, best)
    return Step(candidate.name, score, best, accepted, _reason(score, best, accepted))


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
    merge: Merge = MEAN,
) -> Soup:
    """Take the best single ingredient, as grid search does.

    Args:
        ingredients: Ingredients or soups; of equal ones the first is taken.
        scorer: Ranks them.
        name: The name of the soup.
        file: Not needed, since a lone ingredient is read as easily.
        merge: Not needed, since there is nothing to combine.

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


SoupMethod = Callable[
    [Sequence[AnyIngredient], Scorer, str, PathLike | None, Merge], Soup
]

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
    known: dict[str, AnyIngredient] = {}
    for leaf in _leaves(ingredients):
        if known.setdefault(leaf.name, leaf) is not leaf:
            raise FFMMError(
                f'soup {name!r}: two ingredients are called {leaf.name!r}; '
                f'give each its own name'
            )


def _leaves(ingredients: Sequence[AnyIngredient]) -> Iterator[AnyIngredient]:
    for ingredient in ingredients:
        if isinstance(ingredient, Soup):
            yield from _leaves(ingredient.members)
        else:
            yield ingredient
