from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from scored_samples import evaluate as evaluate_samples
from scored_samples import multi_label, random_labels
from sklearn.metrics import log_loss

from ff_mm.evaluation import ValidationLoss


def samples(labels: list[int], scores: torch.Tensor) -> list[dict]:
    return [
        DataSample().set_gt_label(label).set_pred_score(score).to_dict()
        for label, score in zip(labels, scores, strict=True)
    ]


def evaluate(*batches: tuple[list[int], torch.Tensor]) -> float:
    metric = ValidationLoss()
    for labels, scores in batches:
        metric.process(None, samples(labels, scores))
    result = metric.evaluate(sum(len(labels) for labels, _ in batches))
    assert list(result) == ['loss']
    assert type(result['loss']) is float
    return result['loss']


def test_by_hand():
    scores = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    expected = -(math.log(0.25) + math.log(0.8)) / 2
    assert evaluate(([2, 1], scores)) == pytest.approx(expected)


def test_mean_over_cases_and_not_over_batches():
    scores = torch.tensor([[0.9, 0.1]] * 3 + [[0.2, 0.8]])
    whole = evaluate(([0, 0, 0, 0], scores))
    assert evaluate(([0, 0, 0], scores[:3]), ([0], scores[3:])) == whole
    assert whole == pytest.approx(-(3 * math.log(0.9) + math.log(0.2)) / 4)


def test_as_cross_entropy_and_scikit_learn_with_absent_classes():
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    labels = [0, 3] * 25
    loss = evaluate((labels, logits.softmax(1)))
    entropy = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    assert loss == pytest.approx(entropy.item(), rel=1e-5)
    probabilities = logits.double().softmax(1).numpy()
    assert loss == pytest.approx(log_loss(labels, probabilities, labels=range(7)))


def test_certain_and_wrong_is_clipped():
    loss = evaluate(([1], torch.tensor([[1.0, 0.0]])))
    assert loss == pytest.approx(-math.log(np.finfo(float).eps))
    assert loss == pytest.approx(36.04, abs=0.01)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_low_precision_does_not_warn(dtype):
    scores = torch.full((4, 7), 1 / 7).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert evaluate(([0, 1, 2, 3], scores)) == pytest.approx(math.log(7))


def test_diverged_model_has_no_loss():
    assert math.isnan(evaluate(([0, 1], torch.tensor([[float('nan')] * 2] * 2))))


# --- multi-label data ---------------------------------------------------------------


def loss_of_labels(truth: object, scores: object) -> float:
    result = evaluate_samples(ValidationLoss(), multi_label(truth, scores))
    assert list(result) == ['loss']
    return result['loss']


def test_labels_by_hand():
    truth = [[1, 0], [-1, 1]]
    scores = [[0.5, 0.25], [0.9, 0.8]]
    expected = -(math.log(0.5) + math.log(0.75) + math.log(0.8)) / 3
    assert loss_of_labels(truth, scores) == pytest.approx(expected)


def test_labels_as_binary_cross_entropy_over_known_elements():
    truth, scores = random_labels(100, 5, missing=0.4)
    known = torch.tensor(truth >= 0)
    expected = torch.nn.functional.binary_cross_entropy(
        torch.tensor(scores)[known], torch.tensor(truth, dtype=torch.float32)[known]
    )
    assert loss_of_labels(truth, scores) == pytest.approx(expected.item(), rel=1e-5)


def test_labels_of_one_kind():
    assert loss_of_labels([[0], [0]], [[0.5], [0.5]]) == pytest.approx(math.log(2))
    assert loss_of_labels([[1]], [[0.0]]) == pytest.approx(36.04, abs=0.01)


def test_what_is_predicted_where_nothing_is_known_does_not_matter():
    loss = loss_of_labels([[1, -1]], [[0.5, float('nan')]])
    assert loss == pytest.approx(math.log(2))


def test_diverged_model_has_no_loss_of_labels():
    assert math.isnan(loss_of_labels([[1, 0]], [[float('nan'), 0.5]]))


def test_nothing_known_has_no_loss_but_a_warning(log):
    assert math.isnan(loss_of_labels([[-1, -1]], [[0.5, 0.5]]))
    [record] = log.records
    assert 'ValidationLoss: nothing is known' in record.getMessage()
