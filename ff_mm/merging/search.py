"""Coefficients of a merge that are chosen on validation, as ingredients are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ff_mm.merging.ingredient import AnyIngredient
from ff_mm.merging.merge import Merge
from ff_mm.merging.scorer import Candidate, NoBetterThan, Outcome, Scorer, Step
from ff_mm.merging.soup import Soup
from ff_mm.merging.soups.choice import Choice


def best_variant(
    kind: Choice,
    variants: Sequence[Merge],
    members: Sequence[AnyIngredient],
    scorer: Scorer,
    name: str,
    files: Iterator[Path | None],
) -> Soup:
    """Make a soup once with each way to combine, and take the best.

    Each is a step of the soup that is taken. Of equal ones it is the first, and whoever
    can tell by then that a uniform soup cannot be better ends its evaluation.

    Args:
        kind: Which soup, with its options.
        variants: Ways to combine that differ in some numbers.
        members: What may go in.
        scorer: Scores and decides.
        name: The name of the soup.
        files: Where to keep weights, see :meth:`~ff_mm.merging.soup.Soup.written`.

    Returns:
        The soup; its ``merge`` says which numbers were chosen.

    Raises:
        FFMMError: As the soup does.
    """
    if len(variants) == 1:
        return kind.make(members, scorer, name, next(files), variants[0])
    search = _Search(scorer, variants)
    if kind.type == 'uniform':
        soups = [
            Soup(name, kind.type, tuple(members), merge=merge) for merge in variants
        ]
        models = [Candidate(name, soup.recipe, soup.load) for soup in soups]
        for number, model in enumerate(models):
            scorer.look_ahead(models[number:], search.to_beat)
            search.take(scorer.evaluate(model, search.to_beat))
        best = kind.make(members, scorer, name, next(files), variants[search.best])
    else:
        best = _best_made(
            search,
            (
                kind.make(members, scorer, name, next(files), merge)
                for merge in variants
            ),
        )
    return replace(best, steps=(*search.steps, *best.steps))


def _best_made(search: _Search, soups: Iterator[Soup]) -> Soup:
    best: Soup | None = None
    for soup in soups:
        assert soup.score is not None  # or it could not have chosen
        loser = best if search.take(soup.score) else soup
        best = soup if best is None or loser is best else best
        if loser is not None and loser.checkpoint is not None:
            loser.checkpoint.path.unlink()
    assert best is not None
    return best


class _Search:
    """What was tried so far.

    Attributes:
        best: Which of the variants is the best.
        steps: A decision on each.
    """

    def __init__(self, scorer: Scorer, variants: Sequence[Merge]) -> None:
        self.best = 0
        self.steps: list[Step] = []
        self._scorer = scorer
        self._variants = variants
        self._score: float | None = None

    @property
    def to_beat(self) -> float | None:
        """What the next one must improve upon; None: it is needed whatever it is."""
        known = self._score is not None and not math.isnan(self._score)
        return self._score if known else None

    def take(self, outcome: Outcome) -> bool:
        """Take note of what the next one reaches; say whether it is the best."""
        number, before = len(self.steps), self._score
        name = _differing(self._variants, number)
        if isinstance(outcome, NoBetterThan):
            reason, score, bound = 'cannot be better', None, outcome.value
            accepted = False
        else:
            score, bound = float(outcome), None
            accepted, reason = self._compare(score, before)
        if accepted:
            self.best, self._score = number, score
        step = Step(name, score, before, accepted, reason, bound)
        self.steps.append(self._scorer.report(step))
        return accepted

    def _compare(self, score: float, before: float | None) -> tuple[bool, str]:
        if before is None:
            return True, 'the first one'
        if math.isnan(score):
            return False, 'the score is NaN'
        if score == before:
            return False, 'a tie, not better'
        better = self._scorer.improves(score, before)
        return better, 'better' if better else 'worse'


def _differing(variants: Sequence[Merge], number: int) -> str:
    """Says in which numbers a variant differs from others: ``'keep=0.2, scale=1'``."""
    options = [variant.options for variant in variants]
    mine = options[number]
    names = [name for name in mine if any(o[name] != mine[name] for o in options)]
    return ', '.join(f'{name}={mine[name]}' for name in names)
