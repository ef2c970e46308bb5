"""The logit ensemble, to which the soups are the cheap alternative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit, softmax

from ff_mm.evaluation.predictions import (
    Predictions,
    PredictionsError,
    require_same_cases,
)
from ff_mm.models.ensemble_classifier import LEAST, NEAREST


def logit_ensemble(predictions: Sequence[Predictions]) -> Predictions:
    """Returns what models say together: probabilities of the mean of their logits.

    The logits are taken from the probabilities, in float64. Of classes log p is the
    logit less a constant of the case, which the softmax of the mean cancels; so the
    result is that of the logits themselves. Of labels the logit is log(p / (1 - p)).
    What underflowed in float32 is taken for the least positive probability of classes
    (1e-45), and for 6e-8, as 1 is for 1 - 6e-8, of labels.

    A case for which one of the models gives NaN gets NaN.

    Args:
        predictions: Of one model or more, for the same cases.

    Returns:
        Predictions of the same cases. At inference they cost as many forward passes as
        there are models.

    Raises:
        PredictionsError: If there is no model, or cases, truth or groups differ.

    References:
        Wortsman et al., "Model soups", ICML 2022 (arXiv 2203.05482), where it is the
        ensemble that soups are compared with.
    """
    if not predictions:
        raise PredictionsError('logit ensemble: expected one model or more, got none')
    require_same_cases({f'model {i}': p for i, p in enumerate(predictions)})
    mean = np.zeros(predictions[0].scores.shape)
    for of_model in predictions:
        mean += logits(of_model) / len(predictions)
    return of_logits(mean, predictions[0])


def logits(predictions: Predictions) -> np.ndarray:
    """Returns logits of predicted probabilities, see :func:`logit_ensemble`.

    Returns:
        Float64, of the shape of the scores.

    Raises:
        PredictionsError: There are no probabilities in them.
    """
    predictions.require_scores()
    scores = predictions.scores.astype(np.float64)
    if predictions.is_multilabel:
        return logit(np.clip(scores, NEAREST, 1 - NEAREST))
    return np.log(np.maximum(scores, LEAST))


def of_logits(mean: np.ndarray, cases: Predictions) -> Predictions:
    """Returns the predictions that are meant by logits, as :func:`logits` gives them.

    Args:
        mean: The logits.
        cases: Predictions of the same cases.
    """
    scores = expit(mean) if cases.is_multilabel else softmax(mean, axis=1)
    return replace(cases, scores=scores.astype(np.float32))
