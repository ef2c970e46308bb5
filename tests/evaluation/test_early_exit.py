from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.evaluation import MulticlassMetric
from ff_mm.evaluation.early_exit import EarlyExit
from ff_mm.evaluation.metrics.attainable import AttainableScore


def sample(truth, predicted=None):
    case = dict(gt_label=torch.tensor([truth]))
    return case if predicted is None else dict(case, pred_label=predicted)


def early_exit(truth, metric='accuracy'):
    evaluator = MulticlassMetric(items=[metric])
    samples = [sample(t) for t in truth]
    attainable = AttainableScore.find([evaluator], metric, 'greater', samples)
    return evaluator, EarlyExit(attainable, len(truth))


def walk(evaluator, early, truth, predicted, to_beat, batch=1):
    """One pass: the score, or the bound at which it stopped; and how far it came."""
    evaluator.results.clear()
    watch = early.watch(lambda value: not value > to_beat)
    order = watch.order
    for start in range(0, len(truth), batch):
        chosen = order[start : start + batch]
        evaluator.process(None, [sample(truth[i], predicted[i]) for i in chosen])
        done = start + len(chosen)
        bound = watch.lost(done)
        if bound is not None:
            early.learn(order[:done])
            return 'stopped', bound, done
    early.learn(order)
    results = evaluator.results
    return 'finished', evaluator.compute_metrics(results)[early_metric(evaluator)], done


def early_metric(evaluator):
    return evaluator.items[0]


def test_a_candidate_that_is_wrong_too_often_is_stopped_as_soon_as_that_is_certain():
    truth = [0] * 10
    evaluator, early = early_exit(truth)
    # 0.8 is to be beaten: the second error leaves 0.8, which does not.
    outcome, bound, done = walk(evaluator, early, truth, [0, 1, 0, 1] + [0] * 6, 0.8)
    assert (outcome, bound, done) == ('stopped', pytest.approx(0.8), 4)


def test_the_cases_that_were_wrong_before_come_first():
    truth = [0] * 10
    evaluator, early = early_exit(truth)
    wrong_at_the_end = [0] * 8 + [1, 1]
    walk(evaluator, early, truth, wrong_at_the_end, 0.0)
    assert early.order()[:2].tolist() == [8, 9]
    assert walk(evaluator, early, truth, wrong_at_the_end, 0.8)[2] == 2


def test_cases_that_one_candidate_in_two_gets_wrong_come_after_those_that_all_do():
    truth = [0] * 4
    evaluator, early = early_exit(truth)
    walk(evaluator, early, truth, [0, 1, 0, 1], 0.0)
    walk(evaluator, early, truth, [0, 0, 0, 1], 0.0)
    assert early.order().tolist() == [3, 1, 0, 2]


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.parametrize('metric', ['accuracy', 'macro_recall', 'macro_f1'])
def test_a_greedy_walk_decides_as_with_full_passes(metric, data):
    number = data.draw(st.integers(2, 15))
    classes = st.lists(st.integers(0, 2), min_size=number, max_size=number)
    truth = data.draw(classes)
    candidates = data.draw(st.lists(classes, min_size=1, max_size=6))
    evaluator, early = early_exit(truth, metric)
    best, accepted = -1.0, []
    for predicted in candidates:
        outcome, score, _ = walk(evaluator, early, truth, predicted, best, batch=2)
        if outcome == 'finished' and score > best:
            best = score
            accepted.append(predicted)
    expected_best, expected = -1.0, []
    full = MulticlassMetric(items=[metric])
    for predicted in candidates:
        results = list(zip(truth, predicted, strict=True))
        score = full.compute_metrics(results)[metric]
        if score > expected_best:
            expected_best = score
            expected.append(predicted)
    assert (best, accepted) == (expected_best, expected)
    assert np.isfinite(best)
