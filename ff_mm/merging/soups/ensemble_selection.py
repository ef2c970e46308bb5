"""Ensemble selection: an ensemble chosen by predictions, and merged into one model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ff_mm.files import PathLike
from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Candidate, Scorer, Step
from ff_mm.merging.soup import MEAN, Soup, require_distinct_names
from ff_mm.merging.soups.options import check_one_of, check_whole
from ff_mm.merging.soups.ranking import nothing_but_nan, reason
from ff_mm.merging.validation import Ensembles, provided

_NAME = 'ensemble_selection'


@dataclass(frozen=True)
class EnsembleSelectionOptions:
    """The options of :func:`ensemble_selection`.

    Attributes:
        rounds: How many members are added at most, one counted as often as it is.
        sorted_start: Of the so many best ones at most, in their order, as many are
            taken to begin with as score best together. 1: the best one alone.
        average: What of predictions is averaged: ``'probabilities'``, as in the paper,
            or ``'logits'``, as in the logit ensemble of a comparison.

    Raises:
        ConfigError: A value out of its range.
    """

    rounds: int = 50
    sorted_start: int = 5
    average: str = 'probabilities'

    def __post_init__(self) -> None:
        check_whole(_NAME, 'rounds', self.rounds, 1)
        check_whole(_NAME, 'sorted_start', self.sorted_start, 1)
        check_one_of(_NAME, 'average', self.average, ('probabilities', 'logits'))


def ensemble_selection(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    file: PathLike | None = None,
    merge: Merge = MEAN,
    options: EnsembleSelectionOptions | None = None,
) -> Soup:
    """Make the soup of an ensemble that was chosen greedily, with replacement.

    Not weights but predictions are averaged while members are chosen: in each round the
    ingredient is added with which the mean of all predictions scores best, be it there
    already or not, and be that better than before or not. Of equal ones it is the one
    that is better alone, then the first. In the end the best ensemble on the way
    counts, of equal ones the smallest. How often each ingredient is in it says how
    much of its weights goes into the soup.

    Cost: one pass for each ingredient, whatever ``rounds`` is, and one for the soup.

    Args:
        ingredients: Ingredients or soups. One whose predictions score NaN stays out.
        scorer: Has ``ensembles``; scores the soup.
        name: The name of the soup.
        file: Where to keep its weights, see :meth:`Soup.written`.
        merge: How they are combined, each by its count.
        options: The options.

    Returns:
        The soup, members best first. Its score is its own; those of steps are of
        ensembles.

    Raises:
        FFMMError: If there are no ingredients, two different ones share a name, all of
            them score NaN, or the scorer has no ensembles.

    References:
        Caruana et al., "Ensemble selection from libraries of models", ICML 2004.
    """
    require_distinct_names(ingredients, name)
    options = options or EnsembleSelectionOptions()
    if len(ingredients) == 1:
        alone = scorer.score(ingredients[0])
        steps = (scorer.report(Step(name, alone, None, True, 'the only one')),)
        return Soup(name, _NAME, tuple(ingredients), alone, steps)
    chosen = choose_ensemble(ingredients, scorer, name, options)
    members = tuple(i for i, count in chosen.counts if count)
    counts = [float(count) for _, count in chosen.counts if count]
    soup = Soup(
        name,
        _NAME,
        members,
        rejected=tuple(i for i, count in chosen.counts if not count),
        merge=merge if len(members) > 1 else MEAN,
        # Equal ones are left out, as they say no more than that.
        weights=tuple(counts) if len(set(counts)) > 1 else None,
    ).written(file)
    score = scorer.score(members[0] if soup.is_its_member else soup)
    why = f'the mean of {options.average} scores {chosen.score:.4f}'
    step = scorer.report(Step(name, score, chosen.score, True, why))
    return replace(soup, score=score, steps=(*chosen.steps, step))


@dataclass(frozen=True)
class Chosen:
    """An ensemble: how often each ingredient is in it, best first, and its score."""

    counts: list[tuple[AnyIngredient, int]]
    score: float
    steps: list[Step]


def choose_ensemble(
    ingredients: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    options: EnsembleSelectionOptions,
) -> Chosen:
    """Choose the members of an ensemble, see :func:`ensemble_selection`.

    Args:
        ingredients: Ingredients or soups, of distinct names.
        scorer: Has ``ensembles``.
        name: What is made of them.
        options: The options.

    Raises:
        FFMMError: All of them score NaN, or the scorer has no ensembles.
    """
    ensembles = provided(scorer.ensembles, name, 'predictions', 'ensembles')
    candidates = [Candidate(i.name, i.recipe, i.load) for i in ingredients]
    said = ensembles.predictions(candidates, options.average)
    return _search(ingredients, said, ensembles, scorer, name, options)


def _search(
    ingredients: Sequence[AnyIngredient],
    said: Sequence[Tensor],
    ensembles: Ensembles,
    scorer: Scorer,
    name: str,
    options: EnsembleSelectionOptions,
) -> Chosen:
    """Look for the best ensemble."""

    def scores(total: Tensor | None, size: int, numbers: Sequence[int]) -> list[float]:
        return [
            ensembles.score(_plus(total, said[n]) / (size + 1), options.average)
            for n in numbers
        ]

    alone = scores(None, 0, range(len(said)))
    order = scorer.sorted(range(len(said)), alone)
    usable = [number for number in order if not math.isnan(alone[number])]
    if not usable:
        raise nothing_but_nan(ingredients, name)
    so_far = _SoFar(scorer)
    for number in usable[: min(options.sorted_start, options.rounds)]:
        (score,) = scores(so_far.total, so_far.size, [number])
        so_far.add(number, said[number], score, ingredients[number].name)
    so_far.back_to_best(said)
    while so_far.size < options.rounds:
        found = scores(so_far.total, so_far.size, usable)
        first = scorer.sorted(range(len(usable)), found)[0]
        number = usable[first]
        so_far.add(number, said[number], found[first], ingredients[number].name)
    counts = Counter(so_far.best)
    return Chosen(
        [(ingredients[number], counts[number]) for number in order],
        so_far.score,
        so_far.steps,
    )


class _SoFar:
    """The ensemble on the way, and the best one that there was."""

    def __init__(self, scorer: Scorer) -> None:
        self.total: Tensor | None = None
        self.best: list[int] = []
        self.score = math.nan
        self.steps: list[Step] = []
        self._numbers: list[int] = []
        self._scorer = scorer

    @property
    def size(self) -> int:
        return len(self._numbers)

    def add(self, number: int, said: Tensor, score: float, name: str) -> None:
        """Take one in; decide whether it is the best ensemble yet."""
        before = self.score if self._numbers else None
        accepted = before is None or self._scorer.improves(score, before)
        self._numbers.append(number)
        self.total = _plus(self.total, said)
        if before is None:
            why = 'the best one alone'
        else:
            why = f'{self.size} together: {reason(score, before, accepted)}'
        step = Step(name, score, before, accepted, why)
        self.steps.append(self._scorer.report(step))
        if accepted:
            self.best, self.score = list(self._numbers), score

    def back_to_best(self, said: Sequence[Tensor]) -> None:
        """Go on from the best ensemble yet, not from the last."""
        self._numbers, self.total = list(self.best), None
        for number in self._numbers:
            self.total = _plus(self.total, said[number])


def _plus(total: Tensor | None, said: Tensor) -> Tensor:
    return said if total is None else total + said
