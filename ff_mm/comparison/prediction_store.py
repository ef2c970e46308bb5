"""Predictions of models on the sets of a config, each computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ff_mm.comparison.predictions import Predictions
from ff_mm.evaluation.cases import cases_of
from ff_mm.evaluation.model_evaluator import ModelEvaluator
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
    """

    def __init__(
        self, folder: Path, evaluator: ModelEvaluator, notify: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._notify = notify
        self._noted: set[str] = set()
        self._evaluator = evaluator
        self._cases = {name: cases_of(s.dataset) for name, s in evaluator.sets.items()}

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
        for split, key in self._evaluator.prediction_keys.items():
            if splits is not None and split not in splits:
                continue
            name = f'{key_of(key, recipe)[:32]}.npz'
            path = self._folder / split / name
            cases, groups = self._cases[split]
            kept = self._read(path, split) if path.is_file() else None
            if kept is None or kept.cases != tuple(cases):
                if not loaded:
                    self._evaluator.load(load())
                loaded = True
                kept = self._predict(split)
                kept.save(path)
            # Groups can be told later than images were seen.
            found[split] = replace(kept, groups=groups)
        return found

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

    def _predict(self, split: str) -> Predictions:
        cases, groups = self._cases[split]
        samples = self._evaluator.predict(split)
        found = Predictions.from_samples(samples, cases, groups)
        return replace(found, images=self._evaluator.images[split])
