"""Every score of ff_mm's metrics of some cases, by scikit-learn's functions."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    log_loss,
    multilabel_confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

RANKS = dict(auroc=roc_auc_score, average_precision=average_precision_score)
RATES = dict(recall=recall_score, precision=precision_score, f1=f1_score)
NAN = float('nan')


def of_classes(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """The scores of single-label data: class numbers, and probabilities of classes."""
    scores, number = scores.astype(np.float64), scores.shape[1]
    # As torch has it, NaN is the largest.
    predicted = scores.argmax(axis=1)
    return {
        **of_predicted_classes(truth, predicted, number),
        **_ranks(*_second_of_two(np.eye(number, dtype=int)[truth], scores)),
        **_costs_of_classes(truth, scores, predicted),
    }


def of_predicted_classes(
    true: np.ndarray, predicted: np.ndarray, number: int
) -> dict[str, float]:
    (tn, fp), _ = np.moveaxis(multilabel_confusion_matrix(true, predicted), 0, -1)
    macro = dict(average='macro', zero_division=0)
    with warnings.catch_warnings():
        # Of classes that are predicted but never true, and of kappas 0 / 0.
        warnings.simplefilter('ignore')
        return {
            'accuracy': accuracy_score(true, predicted),
            'balanced_accuracy': balanced_accuracy_score(true, predicted),
            **{f'macro_{k}': f(true, predicted, **macro) for k, f in RATES.items()},
            'macro_specificity': np.mean(tn / np.maximum(tn + fp, 1)),
            **{
                name: cohen_kappa_score(
                    true, predicted, labels=range(number), weights=weights
                )
                for name, weights in (
                    ('kappa', None),
                    ('linear_kappa', 'linear'),
                    ('quadratic_kappa', 'quadratic'),
                )
            },
        }


def of_labels(
    truth: np.ndarray, scores: np.ndarray, threshold: float = 0.5
) -> dict[str, float]:
    """The scores of multi-label data: 1, 0 or -1 (missing), and probabilities."""
    known, scores = truth >= 0, scores.astype(np.float64)
    predicted = scores >= threshold
    labels = np.flatnonzero(known.any(axis=0))
    right = truth[known] == predicted[known]
    found = {'accuracy': right.mean() if len(right) else NAN}
    for name, rate in (*RATES.items(), ('specificity', _specificity)):
        values = [
            rate(truth[known[:, i], i], predicted[known[:, i], i], zero_division=0)
            if np.isfinite(scores[known[:, i], i]).all()
            else NAN
            for i in labels
        ]
        found[f'macro_{name}'] = np.mean(values) if values else NAN
    found.update(_ranks(truth, scores))
    truth, scores = truth[known], scores[known]
    if not (len(scores) and np.isfinite(scores).all()):
        return {**found, 'accuracy': NAN, 'brier': NAN, 'ece': NAN, 'loss': NAN}
    found['brier'] = brier_score_loss(truth, scores, pos_label=1)
    found['ece'] = expected_calibration_error(truth, scores)
    found['loss'] = log_loss(truth, scores, labels=[0, 1])
    return found


def _specificity(truth: np.ndarray, predicted: np.ndarray, zero_division: int) -> float:
    return recall_score(truth, predicted, pos_label=0, zero_division=zero_division)


def _second_of_two(*columns: np.ndarray) -> list[np.ndarray]:
    return [c[:, 1:] if c.shape[1] == 2 else c for c in columns]


def _ranks(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {name: _mean_rank(f, truth, scores) for name, f in RANKS.items()}


def _mean_rank(function: Callable, truth: np.ndarray, scores: np.ndarray) -> float:
    values = []
    for of_cases, of_scores in zip(truth.T, scores.T, strict=True):
        known = of_cases >= 0
        if len(np.unique(of_cases[known])) == 2:
            of_cases, of_scores = of_cases[known], of_scores[known]
            finite = np.isfinite(of_scores).all()
            values.append(function(of_cases, of_scores) if finite else NAN)
    return np.mean(values) if values else NAN


def _costs_of_classes(
    truth: np.ndarray, scores: np.ndarray, predicted: np.ndarray
) -> dict[str, float]:
    if not np.isfinite(scores).all():
        return dict(brier=NAN, ece=NAN, loss=NAN)
    number = scores.shape[1]
    squares = np.square(scores - np.eye(number)[truth])
    brier = squares[:, 1] if number == 2 else squares.sum(axis=1)
    shares = scores / scores.sum(axis=1, keepdims=True)
    return dict(
        brier=brier.mean(),
        ece=expected_calibration_error(predicted == truth, scores.max(axis=1)),
        loss=log_loss(truth, shares, labels=range(number)),
    )


def expected_calibration_error(
    right: np.ndarray, confidence: np.ndarray, bins: int = 15
) -> float:
    """Guo et al.'s, which scikit-learn lacks, bin by bin."""
    total = 0.0
    edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
    for low, high in itertools.pairwise(edges):
        chosen = (confidence > low) & (confidence <= high)
        chosen |= (confidence == 0) & (low == 0)
        if chosen.any():
            gap = right[chosen].mean() - confidence[chosen].mean()
            total += chosen.sum() * abs(gap)
    return total / len(right)
