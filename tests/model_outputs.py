"""Predictions of models that nobody trained."""

from __future__ import annotations

import numpy as np

from ff_mm.comparison import Predictions


def of_classes(cases=60, classes=3, seed=0, model=0, skill=1.0, groups=None):
    """Of the same cases for one seed; the model decides what is said of them."""
    truth = np.random.default_rng(seed).integers(0, classes, cases)
    draw = np.random.default_rng([seed, 1, model])
    logits = draw.normal(size=(cases, classes)) + skill * np.eye(classes)[truth]
    scores = np.exp(logits)
    scores /= scores.sum(axis=1, keepdims=True)
    return Predictions(scores, truth, named(cases), groups)


def of_labels(cases=60, labels=3, seed=0, model=0, missing=0.2, groups=None):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 2, (cases, labels))
    draw_scores = np.random.default_rng([seed, 1, model])
    scores = 1 / (1 + np.exp(-draw_scores.normal(truth - 0.5)))
    truth[draw.random(truth.shape) < missing] = -1
    return Predictions(scores, truth, named(cases), groups)


def named(cases):
    return tuple(f'image_{number}.png' for number in range(cases))
