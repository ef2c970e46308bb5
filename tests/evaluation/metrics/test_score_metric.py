from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scored_samples import multi_label, random_classes, random_labels, single_label

from ff_mm.errors import FFMMError
from ff_mm.evaluation import (
    AUROC,
    CalibrationMetric,
    MeanAveragePrecision,
    MultilabelMetric,
    ValidationLoss,
)
from ff_mm.evaluation.metrics.base import keep_case

METRICS = [AUROC, CalibrationMetric, MeanAveragePrecision, ValidationLoss]


@pytest.mark.parametrize('metric', [*METRICS, MultilabelMetric])
def test_keeps_copies_and_not_views_of_the_batch(metric):
    truth = torch.tensor([[1.0, 0.0, -1.0]] * 4)
    scores = torch.tensor([[0.25, 0.5, 0.75]] * 4)
    # Not through DataSample, so that the rows are views for sure.
    samples = [
        dict(gt_score=t, pred_score=s) for t, s in zip(truth, scores, strict=True)
    ]
    kept = metric()
    kept.process(None, samples)
    truth.fill_(0)
    scores.fill_(0)
    first_truth, first_scores = kept.results[0]
    assert first_truth.tolist() == [1, 0, -1]
    assert first_scores.tolist() == [0.25, 0.5, 0.75]
    assert len(pickle.dumps(first_scores)) < len(pickle.dumps(np.zeros(100)))


@pytest.mark.parametrize('metric', [*METRICS, MultilabelMetric])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_point_dtype(metric, dtype):
    # Multiples of 1/256 are exact in all of them.
    truth, scores = random_labels(60, 3, missing=0.2)
    scores = torch.tensor(scores).mul(64).round().div(64)
    results = []
    for given in (scores, scores.to(dtype).requires_grad_()):
        tested = metric()
        tested.process(None, multi_label(truth, given))
        results.append(tested.evaluate(60))
    assert results[0] == results[1]
    assert not np.isnan(list(results[0].values())).any()


@pytest.mark.parametrize('metric', METRICS)
def test_batches_do_not_matter(metric):
    samples = single_label(*random_classes(50, 4))
    whole, in_parts = metric(), metric()
    whole.process(None, samples)
    for start in range(0, 50, 7):
        in_parts.process(None, samples[start : start + 7])
    assert whole.evaluate(50) == in_parts.evaluate(50)


@pytest.mark.parametrize('value', [float('nan'), 0.5, 2, -2])
def test_truth_that_is_no_label(value):
    sample = dict(
        gt_score=torch.tensor([1.0, value]), pred_score=torch.tensor([0.5, 0.5])
    )
    with pytest.raises(FFMMError, match=r'gt_score=\[1.0, .*1 \(present\), 0 \(abs'):
        keep_case(sample)


def test_truth_of_another_length():
    sample = dict(gt_score=torch.ones(3), pred_score=torch.ones(2))
    with pytest.raises(FFMMError, match='expected 2 values'):
        keep_case(sample)


@pytest.mark.parametrize('label', [[3], [-1], [0, 1]])
def test_class_that_the_model_does_not_have(label):
    sample = dict(gt_label=torch.tensor(label), pred_score=torch.ones(3) / 3)
    with pytest.raises(FFMMError, match=r'gt_label=.* from 0 to 2, .*num_classes'):
        keep_case(sample)
