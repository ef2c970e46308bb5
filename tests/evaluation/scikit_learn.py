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
EPSILON = np.finfo(np.float64).eps
KAPPAS = dict(kappa=None, linear_kappa='linear', quadratic_kappa='quadratic')
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
        **soft_of_classes(truth, scores),
    }


def soft_of_classes(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Soft scores: each case is predicted as every class, with its probability."""
    number = scores.shape[1]
    if not np.isfinite(scores).all():
        return {
            f'soft_{name}': NAN for name in of_predicted_classes(truth, truth, number)
        }
    weights = (scores / scores.sum(axis=1, keepdims=True)).ravel()
    true = np.repeat(truth, number)
    predicted = np.tile(np.arange(number), len(truth))
    labels = range(number)
    rates = {
        name: rate(
            *(true, predicted),
            **dict(labels=labels, average=None, zero_division=0, sample_weight=weights),
        )
        for name, rate in RATES.items()
    }
    absent = [true != label for label in labels]
    spared = [
        (weights * rest * (predicted != label)).sum() / max(rest.sum() / number, 1)
        for label, rest in zip(labels, absent, strict=True)
    ]
    rates['specificity'] = np.array(spared)
    counting = [
        1 if (truth == label).any() else min(1, weights[predicted == label].sum())
        for label in labels
    ]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return {
            'soft_accuracy': accuracy_score(true, predicted, sample_weight=weights),
            'soft_balanced_accuracy': rates['recall'][np.unique(truth)].mean(),
            **{
                f'soft_macro_{k}': np.average(r, weights=counting)
                for k, r in rates.items()
            },
            **{
                f'soft_{name}': cohen_kappa_score(
                    *(true, predicted),
                    **dict(labels=labels, weights=kind, sample_weight=weights),
                )
                for name, kind in KAPPAS.items()
            },
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
                for name, weights in KAPPAS.items()
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
    columns = [(truth[known[:, i], i], scores[known[:, i], i]) for i in labels]
    found.update(_soft_of_labels(columns))
    truth, scores = truth[known], scores[known]
    if not (len(scores) and np.isfinite(scores).all()):
        undefined = ('accuracy', 'brier', 'ece', 'loss', 'soft_accuracy')
        return {**found, **dict.fromkeys((*undefined, 'class_balanced_loss'), NAN)}
    found['soft_accuracy'] = np.where(truth == 1, scores, 1 - scores).mean()
    found['class_balanced_loss'] = np.mean(
        [_mean_of_means(np.where(t == 1, s, 1 - s), t) for t, s in columns]
    )
    found['brier'] = brier_score_loss(truth, scores, pos_label=1)
    found['ece'] = expected_calibration_error(truth, scores)
    found['loss'] = log_loss(truth, scores, labels=[0, 1])
    return found


def _soft_of_labels(columns: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Each label is predicted with its probability, and not with the rest."""
    found = {}
    for name, rate in (*RATES.items(), ('specificity', _specificity)):
        values = [
            rate(
                np.repeat(truth, 2),
                np.tile([1, 0], len(truth)),
                zero_division=0,
                sample_weight=np.stack([scores, 1 - scores], axis=1).ravel(),
            )
            if np.isfinite(scores).all()
            else NAN
            for truth, scores in columns
        ]
        found[f'soft_macro_{name}'] = np.mean(values) if values else NAN
    return found


def _mean_of_means(right: np.ndarray, truth: np.ndarray) -> float:
    """The mean over classes of the mean cost of their cases."""
    costs = -np.log(np.clip(right, EPSILON, 1 - EPSILON))
    return np.mean([costs[truth == answer].mean() for answer in np.unique(truth)])


def _specificity(truth: np.ndarray, predicted: np.ndarray, **kwargs: object) -> float:
    return recall_score(truth, predicted, pos_label=0, **kwargs)


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
        return dict(brier=NAN, ece=NAN, loss=NAN, class_balanced_loss=NAN)
    number = scores.shape[1]
    squares = np.square(scores - np.eye(number)[truth])
    brier = squares[:, 1] if number == 2 else squares.sum(axis=1)
    shares = scores / scores.sum(axis=1, keepdims=True)
    return dict(
        brier=brier.mean(),
        ece=expected_calibration_error(predicted == truth, scores.max(axis=1)),
        loss=log_loss(truth, shares, labels=range(number)),
        class_balanced_loss=_mean_of_means(shares[range(len(truth)), truth], truth),
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
