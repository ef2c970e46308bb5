"""Ensembles of made models: what they say, and how it scores."""

from __future__ import annotations

from collections import Counter

import torch

from ff_mm.merging import Ingredient, Scorer


class Made:
    """Models whose weights are their predictions: the score is one of the mean."""

    def __init__(self, score):
        self._score = score
        self.asked = Counter()

    def predictions(self, models, average):
        self.asked.update(model.name for model in models)
        return [model.load()['w'].double() for model in models]

    def score(self, mean, average):
        return self._score(mean)


def ingredient(name, *values, **hyper):
    weights = {'w': torch.tensor(values, dtype=torch.float64)}
    return Ingredient(name, lambda: dict(weights), hyper)


def scorer(score, **options):
    """A scorer whose ensembles score as the models of mean weights do."""
    return Scorer(
        lambda candidate, _: score(candidate.load()['w']),
        ensembles=Made(score),
        **options,
    )
