"""What models say of each case of validation, and what ensembles of them score."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from torch import Tensor

from ff_mm.evaluation.candidate_evaluator import CandidateEvaluator
from ff_mm.evaluation.ensemble import logits, of_logits
from ff_mm.evaluation.metrics.offline import silence
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.prediction_store import PredictionStore
from ff_mm.evaluation.predictions import Predictions
from ff_mm.merging import Candidate
from ff_mm.merging.recipe import key_of
from ff_mm.parallel.together import first_alone, in_turn

#: The folder of a work directory that has them.
PREDICTIONS = 'predictions'


class ValidationEnsembles:
    """The :class:`ff_mm.merging.validation.Ensembles` of a scorer.

    What a model says is computed once and kept in files, by content, as a comparison
    keeps it. Each process of a team computes a share, and all have all.

    Args:
        candidates: Where models are evaluated; counts the passes.
        folder: Where predictions are kept.
        notify: Takes lines for the user.
        split: The set.
    """

    def __init__(
        self,
        candidates: CandidateEvaluator,
        folder: Path,
        notify: Callable[[str], None] = lambda line: None,
        split: str = 'val',
    ) -> None:
        self._candidates = candidates
        self._split = split
        self._notify = notify
        self._folder = folder
        self._known: dict[str, Predictions] = {}
        self._last: Predictions | None = None

    def predictions(self, models: Sequence[Candidate], average: str) -> list[Tensor]:
        """Returns what each model says of each case.

        Args:
            models: The models.
            average: ``'probabilities'`` or ``'logits'``.

        Returns:
            Float64 of shape (cases, classes or labels).
        """
        found = self.said_by(models)
        self._last = found[0]
        return [torch.from_numpy(_averaged(f, average)) for f in found]

    def said_by(self, models: Sequence[Candidate]) -> list[Predictions]:
        """Returns the predictions of each model."""
        content = {id(m): self._candidates.content(m.recipe) for m in models}
        keys = [key_of('predictions', content[id(model)]) for model in models]
        by_key = dict(zip(keys, models, strict=True))
        self._take_up(by_key)
        unknown = [key for key in by_key if key not in self._known]

        def predict(key: str) -> dict[str, Any]:
            self._candidates.load(by_key[key])
            return _told(self._store.predict(self._split))

        def note(key: str, told: dict[str, Any]) -> None:
            found = self._heard(told)
            self._known[key] = found
            self._candidates.others['made'] += 1
            if is_main_process() and self._candidates.team.is_first:
                self._store.keep(content[id(by_key[key])], self._split, found)

        in_turn(self._candidates.team, 'predictions', unknown, predict, note)
        return [self._known[key] for key in keys]

    def score(self, mean: Tensor, average: str) -> float:
        """Returns the metric that selects, of predictions that were averaged.

        Args:
            mean: As :meth:`predictions` gives them.
            average: Likewise.
        """
        assert self._last is not None  # whose cases they are
        if average == 'logits':
            said = of_logits(mean.numpy(), self._last)
        else:
            said = replace(self._last, scores=mean.numpy())
        with silence():  # each of them would say the same of the labels
            return float(self._candidates.value(self._metrics.evaluate(said)))

    def _take_up(self, by_key: dict[str, Candidate]) -> None:
        """Reads what is on disk; the first process does, and tells."""

        def read() -> dict[str, Any]:
            found = {
                key: self._store.find(
                    self._candidates.content(model.recipe), self._split
                )
                for key, model in by_key.items()
                if key not in self._known
            }
            return {key: _told(f) for key, f in found.items() if f is not None}

        for key, told in first_alone(self._candidates.team, 'kept', read).items():
            self._known[key] = self._heard(told)
            self._candidates.others['remembered'] += 1

    @cached_property
    def _store(self) -> PredictionStore:
        return PredictionStore(
            self._folder, self._candidates.evaluator, self._notify, [self._split]
        )

    @cached_property
    def _metrics(self) -> PredictionMetrics:
        evaluator = self._candidates.evaluator
        return PredictionMetrics(evaluator.metrics('val'), evaluator.dataset_meta)

    def _heard(self, told: dict[str, Any]) -> Predictions:
        cases, groups = self._store.cases[self._split]
        scores, truth = _array(told['scores']), _array(told['truth'])
        images = self._candidates.evaluator.images[self._split]
        return Predictions(scores, truth, tuple(cases), groups, images)


def _averaged(predictions: Predictions, average: str) -> np.ndarray:
    if average == 'logits':
        return logits(predictions)
    return predictions.scores.astype(np.float64)


def _told(predictions: Predictions) -> dict[str, Any]:
    """Arrays as JSON has them, bit for bit."""
    arrays = dict(scores=predictions.scores, truth=predictions.truth)
    return {
        name: [a.dtype.str, a.shape, base64.b64encode(a.tobytes()).decode()]
        for name, a in arrays.items()
    }


def _array(told: Sequence[Any]) -> np.ndarray:
    kind, shape, values = told
    return np.frombuffer(base64.b64decode(values), kind).reshape(shape)
