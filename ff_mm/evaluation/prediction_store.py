"""Predictions of models on the sets of a config, each computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ff_mm.evaluation.cases import cases_of
from ff_mm.evaluation.model_evaluator import ModelEvaluator
from ff_mm.evaluation.predictions import Predictions
from ff_mm.merging.recipe import key_of
from ff_mm.merging.state_dict import StateDict


class PredictionStore:
    """Keeps predictions in ``<folder>/<set>/<key>.npz``.

    The key is that of weights, images, labels, pipeline, preprocessing and network:
    other metrics, and tests that nobody has thought of yet, need no further pass.

    Args:
        folder: Where files lie.
        evaluator: The network and the sets.
        notify: Takes a line for the user, once a set, where predictions are of other
            images than these, or do not say of which they are.
        splits: Of which sets; None: all.

    Attributes:
        cases: Ids and groups of the cases of each set, see :func:`cases_of`.
    """

    def __init__(
        self,
        folder: Path,
        evaluator: ModelEvaluator,
        notify: Callable[[str], None],
        splits: Sequence[str] | None = None,
    ) -> None:
        self._folder = folder
        self._notify = notify
        self._noted: set[str] = set()
        self._evaluator = evaluator
        self.cases = {
            name: cases_of(s.dataset)
            for name, s in evaluator.sets.items()
            if splits is None or name in splits
        }

    def get(
        self,
        recipe: Mapping[str, float],
        load: Callable[[], StateDict],
        splits: Sequence[str] | None = None,
    ) -> dict[str, Predictions]:
        """Returns what a model says on each set.

        Args:
            recipe: What identifies its weights: weight by digest of what went in.
            load: Returns them; called if a prediction is missing.
            splits: On which sets; None: all.

        Raises:
            FFMMError: A file of the store that cannot be read.
        """
        found: dict[str, Predictions] = {}
        loaded = False
        for split in self.cases:
            if splits is not None and split not in splits:
                continue
            kept = self.find(recipe, split)
            if kept is None:
                if not loaded:
                    self._evaluator.load(load())
                loaded = True
                kept = self.predict(split)
                self.keep(recipe, split, kept)
            found[split] = kept
        return found

    def find(self, recipe: Mapping[str, float], split: str) -> Predictions | None:
        """Returns what a model says on a set, if it is kept.

        Raises:
            FFMMError: A file of the store that cannot be read.
        """
        path = self._path(recipe, split)
        cases, groups = self.cases[split]
        kept = self._read(path, split) if path.is_file() else None
        if kept is None or kept.cases != tuple(cases):
            return None
        # Groups can be told later than images were seen.
        return replace(kept, groups=groups)

    def has(self, recipe: Mapping[str, float], split: str) -> bool:
        """Says whether what a model says on a set is kept, and notes nothing.

        Raises:
            FFMMError: A file of the store that cannot be read.
        """
        path = self._path(recipe, split)
        if not path.is_file():
            return False
        kept, (cases, _) = Predictions.read(path), self.cases[split]
        of_these = kept.images in (None, '', self._evaluator.images[split])
        return of_these and kept.cases == tuple(cases)

    def keep(
        self, recipe: Mapping[str, float], split: str, predictions: Predictions
    ) -> None:
        """Keeps what a model says on a set."""
        predictions.save(self._path(recipe, split))

    def predict(self, split: str) -> Predictions:
        """Returns what the network says on a set, with the weights that it has."""
        cases, groups = self.cases[split]
        if self._evaluator.task.has_scores:
            samples = self._evaluator.predict(split)
            found = Predictions.from_samples(samples, cases, groups)
        else:
            kept = self._evaluator.results(split)
            found = Predictions.of_results(kept, cases, groups)
        return replace(found, images=self._evaluator.images[split])

    def _read(self, path: Path, split: str) -> Predictions | None:
        """Reads predictions; None if they are of other images under the same names."""
        kept, images = Predictions.read(path), self._evaluator.images[split]
        if kept.images == images:
            return kept
        if kept.images:
            what = 'of other images under the same names (size, content or time of a '
            self._note(path.parent, f'{what}file differ); computed anew')
            return None
        what = 'of a version that did not note of which images; taken to be of these'
        self._note(path.parent, what)
        kept = replace(kept, images=images)
        kept.save(path)
        return kept

    def _note(self, folder: Path, what: str) -> None:
        note = f'note: {folder}: predictions are {what}'
        if note not in self._noted:
            self._notify(note)
        self._noted.add(note)

    def _path(self, recipe: Mapping[str, float], split: str) -> Path:
        key = self._evaluator.prediction_keys[split]
        return self._folder / split / f'{key_of(key, recipe)[:32]}.npz'
