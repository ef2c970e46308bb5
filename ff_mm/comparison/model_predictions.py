"""What the models that methods have made say of each case."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ff_mm.comparison.method_models import MethodModel
from ff_mm.evaluation.ensemble import logit_ensemble
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.prediction_store import PredictionStore
from ff_mm.evaluation.predictions import Predictions
from ff_mm.fusion.decision import scores_by_others, scores_without
from ff_mm.fusion.ensemble_file import config_of_file
from ff_mm.merging.state_dict import read_state_dict

VALIDATION = 'val'


class ModelPredictions:
    """Predictions of methods' models on each set, computed once and kept.

    Args:
        folder: Where they are kept.
        evaluator: The network of one model, and the sets.
        notify: Takes lines for the user.
    """

    def __init__(
        self,
        folder: Path,
        evaluator: ModelEvaluator,
        notify: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._evaluator = evaluator
        self._notify = notify
        self._store = PredictionStore(folder, evaluator, notify)

    def of(
        self, model: MethodModel, digests: Mapping[str, str]
    ) -> dict[str, Predictions]:
        """Returns what a model, or all of an ensemble together, say on each set.

        Args:
            model: What a method has made.
            digests: SHA-256 of the pool's files by the name of the ingredient.

        Returns:
            By the name of the set. On validation of a model with a decision those of
            cross-fitting: what it was fitted on must not speak for it.
        """
        file, report = model.file, model.report or {}
        if file is None:
            each = [
                self._store.get({digests[entry.name]: 1.0}, entry.checkpoint.weights)
                for entry in model.pool.entries
            ]
            return {name: logit_ensemble([e[name] for e in each]) for name in each[0]}
        content = model.content(digests)
        if report.get('ensemble'):
            found = self._of_ensemble(file, report, content)
        else:
            found = self._store.get(content, lambda: read_state_dict(file))
        if decision := report.get('decision'):
            own = found[VALIDATION]
            scores = scores_by_others(decision, own.scores, own.is_multilabel)
            found[VALIDATION] = replace(own, scores=scores)
        return found

    def lacking(
        self, model: MethodModel, digests: Mapping[str, str]
    ) -> dict[str, list[str]]:
        """Says which passes :meth:`of` would make, and makes none.

        Args:
            model: What a method has made.
            digests: SHA-256 of the pool's files by the name of the ingredient.

        Returns:
            Names of sets, by what identifies the model that would pass over them; of an
            ensemble without a file each of its members.
        """
        file, report = model.file, model.report or {}
        if file is None:
            contents = [{digests[entry.name]: 1.0} for entry in model.pool.entries]
        else:
            contents = [dict(model.content(digests))]
        if file is not None and report.get('ensemble'):
            with self._store_of_ensemble(report) as store:
                return _lacking(store, contents)
        return _lacking(self._store, contents)

    def undecided(
        self, model: MethodModel, digests: Mapping[str, str]
    ) -> dict[str, Predictions]:
        """Returns what a model says without its decision; empty if it has none.

        Args:
            model: What a method has made, one model.
            digests: SHA-256 of the pool's files by the name of the ingredient.
        """
        file, decision = model.file, (model.report or {}).get('decision')
        if file is None or not decision:
            return {}
        found = self._store.get(model.content(digests), lambda: read_state_dict(file))
        return {
            name: replace(
                own, scores=scores_without(decision, own.scores, own.is_multilabel)
            )
            for name, own in found.items()
        }

    def _of_ensemble(
        self, file: Path, report: Mapping, content: Mapping[str, float]
    ) -> dict[str, Predictions]:
        """Those of its file, by a network of all members."""
        with self._store_of_ensemble(report) as store:
            return store.get(content, lambda: read_state_dict(file))

    @contextmanager
    def _store_of_ensemble(self, report: Mapping) -> Iterator[PredictionStore]:
        cfg = copy.deepcopy(self._evaluator.cfg)
        # What MMEngine keeps by the work directory is not that of one model.
        cfg.work_dir = str(Path(cfg.work_dir) / 'log' / 'ensemble')
        evaluator = ModelEvaluator(config_of_file(cfg, dict(soup=report)), self._notify)
        try:
            yield PredictionStore(self._folder, evaluator, self._notify)
        finally:
            evaluator.close()


def _lacking(
    store: PredictionStore, contents: Sequence[Mapping[str, float]]
) -> dict[str, list[str]]:
    return {
        json.dumps(sorted(content.items())): [
            name for name in store.cases if not store.has(content, name)
        ]
        for content in contents
    }
