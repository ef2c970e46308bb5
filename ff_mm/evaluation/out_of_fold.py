"""Scores of recipes that were trained on folds, by what each fold has not seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ff_mm.display.numbers import overall
from ff_mm.errors import ConfigError
from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.early_exit import CannotWin
from ff_mm.evaluation.metrics.offline import silence
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.predictions import Predictions
from ff_mm.evaluation.resampling import Resampling, percentile_interval
from ff_mm.evaluation.validation_ensembles import PREDICTIONS, ValidationEnsembles
from ff_mm.merging import Candidate, Ingredient, NoBetterThan, Soup
from ff_mm.merging.recipe import Recipe, key_of
from ff_mm.merging.scorer import Memory
from ff_mm.plain import plain_metrics

# Resamples of an interval, their seed, and its confidence.
_RESAMPLES, _SEED, CONFIDENCE = 1000, 0, 0.95


class Judge(Memory, Protocol):
    """Scores models on validation, and remembers."""

    def score(
        self, candidates: Sequence[Candidate], cannot_win: CannotWin | None
    ) -> Sequence[float | NoBetterThan]:
        """Returns what :meth:`CandidateEvaluator.score` does."""


class OutOfFold:
    """Judges means of ingredients of folds: each case by models that have not seen it.

    Of a mean that holds models of all folds, those of one fold, with the weights that
    they have, make a model that predicts this fold. The predictions of all folds
    together are scored once. They are kept, by content, and so are metrics in the memo.

    Args:
        candidates: Where models are evaluated; its sets have one a fold.
        sets: Names of these sets.
        members: The ingredients of each fold, by name.
        folder: A work directory.
        notify: Takes lines for the user.
    """

    def __init__(
        self,
        candidates: CandidateEvaluator,
        sets: Sequence[str],
        members: Sequence[Mapping[str, Ingredient]],
        folder: Path,
        notify: Any,
    ) -> None:
        self._candidates = candidates
        self._sets = list(sets)
        self._members = list(members)
        self._told = [
            ValidationEnsembles(candidates, folder / PREDICTIONS, notify, name)
            for name in sets
        ]
        evaluator = candidates.evaluator
        self._metrics = PredictionMetrics(
            evaluator.metrics(self._sets[0]), evaluator.dataset_meta
        )

    def score(
        self, candidates: Sequence[Candidate], cannot_win: CannotWin | None = None
    ) -> list[float]:
        """Returns the metric that selects, of all cases; of all candidates."""
        self._predict([each.recipe for each in candidates])
        return [
            self._candidates.value(self.metrics(each.recipe)) for each in candidates
        ]

    def recall(self, recipe: Recipe) -> float | None:
        """Returns what is known of a model; None: nothing."""
        known = self._known(recipe)
        return None if known is None else self._candidates.value(known)

    def keep(self, recipe: Recipe, outcome: float | NoBetterThan) -> None:
        """Does nothing: what was found stands in the memo."""

    def metrics(self, recipe: Recipe) -> dict[str, Any]:
        """Returns all metrics of the out-of-fold predictions of a model."""
        known = self._known(recipe)
        if known is None:
            with silence():
                found = self._metrics.evaluate(self.predictions(recipe))
            known = plain_metrics(found)
            self._candidates.memo.add_metrics(self._key(recipe), known, self._sets)
        return dict(known)

    def predictions(self, recipe: Recipe) -> Predictions:
        """Returns what is said of each case, fold after fold."""
        return _joined([each[0] for each in self._predict([recipe])], self._sets)

    def _predict(self, recipes: Sequence[Recipe]) -> list[list[Predictions]]:
        """Returns of each fold what each model says of it."""
        unknown = [r for r in recipes if len(recipes) == 1 or self._known(r) is None]
        return [
            told.said_by([self._part(recipe, fold) for recipe in unknown])
            if unknown
            else []
            for fold, told in enumerate(self._told)
        ]

    def _part(self, recipe: Recipe, fold: int) -> Candidate:
        """The model that has not seen a fold."""
        members = self._members[fold]
        weights = {
            name: weight
            for name, weight in recipe.items()
            if isinstance(name, str) and name in members
        }
        if not weights:
            raise ConfigError(
                f'folds: a model without a member of fold {fold} cannot be judged on it'
            )
        equal = len(set(weights.values())) == 1
        soup = Soup(
            f'fold {fold}',
            'uniform',
            tuple(members[name] for name in weights),
            weights=None if equal else tuple(weights.values()),
        )
        return Candidate(soup.name, soup.recipe, soup.load)

    def _known(self, recipe: Recipe) -> Mapping[str, Any] | None:
        selects = self._candidates.selection.metric
        return self._candidates.memo.metrics(
            self._key(recipe), lambda found: isinstance(found.get(selects), int | float)
        )

    def _key(self, recipe: Recipe) -> str:
        """What identifies the metrics of a model: of each fold set and part."""
        keys = self._candidates.evaluator.keys
        parts = [
            [keys[name], self._candidates.content(self._part(recipe, fold).recipe)]
            for fold, name in enumerate(self._sets)
        ]
        kind = json.dumps(['out of fold', parts], sort_keys=True)
        return key_of(kind, self._candidates.content(recipe))

    def intervals(self, recipe: Recipe) -> dict[str, list[float]]:
        """Returns percentile intervals of the metrics, by bootstrap of groups.

        Returns:
            Name -> lower and upper end, of overall metrics that have one.
        """
        predictions = self.predictions(recipe)
        with silence():
            resampled = self._metrics.resampled(predictions)
            names = overall(self.metrics(recipe))
            values: dict[str, list[np.ndarray]] = {}
            for counts in Resampling(predictions, _RESAMPLES, _SEED).batches():
                for name, found in resampled.values(counts).items():
                    values.setdefault(name, []).append(found)
        return {
            name: interval
            for name in names
            if (interval := _interval(values.get(name, [])))
        }


def _joined(parts: Sequence[Predictions], names: Sequence[str]) -> Predictions:
    """Puts the predictions of folds together, of which no two share a group."""
    first = 0
    groups = []
    for part in parts:
        own = np.arange(len(part)) if part.groups is None else part.groups
        groups.append(own + first)
        first += int(own.max()) + 1
    alone = all(part.groups is None for part in parts)
    return replace(
        parts[0],
        scores=np.concatenate([part.scores for part in parts]),
        truth=np.concatenate([part.truth for part in parts]),
        cases=tuple(
            f'{name}/{case}'
            for name, part in zip(names, parts, strict=True)
            for case in part.cases
        ),
        groups=None if alone else np.concatenate(groups),
        images=' '.join(part.images for part in parts),
    )


def _interval(values: Sequence[np.ndarray]) -> list[float] | None:
    known = np.concatenate(values) if values else np.empty(0)
    ends = percentile_interval(known[np.isfinite(known)], CONFIDENCE)
    return None if np.isnan(ends[0]) else list(ends)
