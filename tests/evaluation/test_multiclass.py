from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample
from sklearn.metrics import accuracy_score, f1_score, recall_score

from ff_mm.evaluation import MulticlassMetric


def evaluate(true: list[int], predicted: list[int], **kwargs: object) -> dict:
    metric = MulticlassMetric(**kwargs)
    samples = [
        DataSample().set_gt_label(t).set_pred_label(p).to_dict()
        for t, p in zip(true, predicted, strict=True)
    ]
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_by_hand():
    scores = evaluate([0, 0, 0, 1], [0, 0, 1, 1])
    assert scores == {
        'accuracy': pytest.approx(3 / 4),
        'macro_recall': pytest.approx((2 / 3 + 1) / 2),
        'macro_f1': pytest.approx((4 / 5 + 2 / 3) / 2),
    }
    assert all(type(value) is float for value in scores.values())


def test_class_absent_from_both_does_not_count():
    # Classes 0 and 5 of however many: the mean is over two.
    assert evaluate([0, 5], [0, 5])['macro_recall'] == 1.0


def test_class_predicted_but_never_true_counts_as_zero():
    scores = evaluate([0, 0], [0, 2])
    assert scores['macro_recall'] == pytest.approx((1 / 2 + 0) / 2)
    assert scores['macro_f1'] == pytest.approx((2 / 3 + 0) / 2)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30)
)
@settings(max_examples=50, deadline=None)
def test_as_scikit_learn(pairs):
    true, predicted = map(list, zip(*pairs, strict=True))
    macro = dict(average='macro', zero_division=0)
    assert evaluate(true, predicted) == {
        'accuracy': accuracy_score(true, predicted),
        'macro_recall': recall_score(true, predicted, **macro),
        'macro_f1': f1_score(true, predicted, **macro),
    }


def test_scores_stand_in_for_labels():
    metric = MulticlassMetric(items=['accuracy'])
    sample = DataSample().set_gt_label(2).set_pred_score(torch.tensor([0.1, 0.3, 0.6]))
    metric.process(None, [sample.to_dict()])
    assert metric.results == [(2, 2)]
    assert metric.evaluate(1) == {'accuracy': 1.0}


def test_in_an_evaluator_without_noise(caplog):
    with caplog.at_level(logging.WARNING):
        evaluator = Evaluator(METRICS.build(dict(type='MulticlassMetric')))
    assert not caplog.records
    sample = DataSample().set_gt_label(1).set_pred_score(np.eye(3, dtype='f4')[1])
    evaluator.process([sample])
    names = {'accuracy', 'macro_recall', 'macro_f1'}
    assert evaluator.evaluate(1) == dict.fromkeys(names, 1.0)


def test_prefix_is_put_before():
    assert evaluate([0], [0], items=['accuracy'], prefix='ood') == {'ood/accuracy': 1.0}


@pytest.mark.parametrize('items', [['kappa'], []])
def test_wrong_items(items):
    with pytest.raises(ValueError, match=r"some of \['accuracy', 'macro_recall'"):
        MulticlassMetric(items=items)
