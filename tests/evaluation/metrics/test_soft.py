"""Soft scores; against scikit-learn with weights in test_prediction_metrics.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_samples import (
    evaluate,
    multi_label,
    random_classes,
    random_labels,
    single_label,
)

from ff_mm.errors import FFMMError
from ff_mm.evaluation import MulticlassMetric, MultilabelMetric, ValidationLoss
from ff_mm.evaluation.metrics.counts import RATES
from ff_mm.evaluation.metrics.multiclass import SCORES
from ff_mm.evaluation.metrics.multilabel import ITEMS
from ff_mm.evaluation.metrics.soft import with_soft

LABELS = [0, 0, 1]
# Multiples of 1/8, which single precision has.
SCORES_BY_HAND = [[0.75, 0.25, 0], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]
TRUTH = [[1, 0], [0, -1], [1, 1]]
PROBABILITIES = [[0.75, 0.25], [0.5, 0.5], [0.25, 1]]


def of_classes(labels: object, scores: object, *items: str, **kwargs: object) -> dict:
    return evaluate(MulticlassMetric(items, **kwargs), single_label(labels, scores))


def of_labels(truth: object, scores: object, *items: str, **kwargs: object) -> dict:
    return evaluate(MultilabelMetric(items, **kwargs), multi_label(truth, scores))


# --- classes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        # Expected: rows [1.25, 0.5, 0.25] and [0.25, 0.5, 0.25]; half a case is
        # predicted as class 2, which is never true and so counts half.
        ('soft_accuracy', 1.75 / 3),
        ('soft_balanced_accuracy', (1.25 / 2 + 0.5) / 2),
        ('soft_macro_recall', (1.25 / 2 + 0.5) / 2.5),
        ('soft_macro_precision', (1.25 / 1.5 + 0.5) / 2.5),
        ('soft_macro_f1', (2.5 / 3.5 + 1 / 2) / 2.5),
        ('soft_macro_specificity', (0.75 + 1.5 / 2 + 0.5 * 2.5 / 3) / 2.5),
        # Of 3 cases 1.25 disagree, 1 - (2 * 1.5 + 1 * 1) / 9 by chance.
        ('soft_kappa', 1 - (1.25 / 3) / (5 / 9)),
        ('soft_linear_kappa', 1 - 1.5 / (2 / 3 * (1 + 2 * 0.5) + 1 / 3 * (1.5 + 0.5))),
        ('soft_quadratic_kappa', 1 - 2 / (2 / 3 * (1 + 2) + 1 / 3 * 2)),
    ],
)
def test_classes_by_hand(name, expected):
    found = of_classes(LABELS, SCORES_BY_HAND, name)
    assert found == {name: pytest.approx(expected, abs=1e-12)}
    assert type(found[name]) is float


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_certain_classes_have_the_scores_of_predicted_ones(data):
    width = data.draw(st.integers(2, 5))
    classes = st.integers(0, width - 1)
    pairs = data.draw(st.lists(st.tuples(classes, classes), min_size=1, max_size=20))
    labels, predicted = np.transpose(pairs)
    metric = dict(per_class=with_soft(RATES))
    found = of_classes(labels, np.eye(width)[predicted], *with_soft(SCORES), **metric)
    for name in (*SCORES, *(f'{r}/{c}' for r in RATES for c in range(width))):
        soft, hard = found[f'soft_{name}'], found[name]
        assert soft == hard or (math.isnan(soft) and math.isnan(hard)), name


def test_where_all_classes_occur_it_is_the_mean_probability_of_the_true_class():
    labels, scores = random_classes(200, 5)
    of_truth = scores[np.arange(200), labels].astype(float)
    expected = np.mean([of_truth[labels == i].mean() for i in range(5)])
    metric = dict(per_class=['soft_recall'])
    found = of_classes(
        labels, scores, *with_soft(['accuracy', 'macro_recall']), **metric
    )
    assert found['soft_macro_recall'] == pytest.approx(expected, abs=1e-7)
    assert found['soft_accuracy'] == pytest.approx(of_truth.mean(), abs=1e-7)
    of_each = [found[f'soft_recall/{i}'] for i in range(5)]
    assert np.mean(of_each) == pytest.approx(expected, abs=1e-7)


def test_one_true_class_has_no_rounding_in_its_specificity():
    scores = np.random.default_rng(0).dirichlet(np.ones(3), 11)
    found = of_classes(
        [0] * 11, scores, 'soft_accuracy', per_class=['soft_specificity']
    )
    assert found['soft_specificity/0'] == 0


def test_other_scores_are_of_the_label_that_the_head_predicts():
    # By a threshold of its own, say.
    samples = single_label([1, 1, 0], [[0.6, 0.4], [0.9, 0.1], [0.8, 0.2]])
    for sample, label in zip(samples, (1, 0, 0), strict=True):
        sample['pred_label'] = torch.tensor([label])
    metric = MulticlassMetric(['accuracy', 'soft_accuracy'], confusion_matrix=True)
    found = evaluate(metric, samples)
    assert found['accuracy'] == pytest.approx(2 / 3)
    assert found['soft_accuracy'] == pytest.approx((0.4 + 0.1 + 0.8) / 3)
    assert found['confusion_matrix'] == [[1, 0], [1, 1]]


def test_soft_scores_beside_others_change_none_of_them():
    samples = single_label(*random_classes(40, 3))
    metric = dict(per_class=['f1'], confusion_matrix=True)
    alone = evaluate(MulticlassMetric(SCORES, **metric), samples)
    beside = evaluate(MulticlassMetric(with_soft(SCORES), **metric), samples)
    assert {name: beside[name] for name in alone} == alone


def test_classes_of_the_data_set_beyond_those_of_the_model_do_not_matter():
    samples = single_label(LABELS, SCORES_BY_HAND)
    few, many = (
        evaluate(MulticlassMetric(with_soft(SCORES)), samples, classes)
        for classes in ('abc', 'abcde')
    )
    assert few == pytest.approx(many)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_a_model_that_has_diverged(value):
    scores = [[0.5, 0.5], [value, 0.5]]
    found = of_classes([0, 1], scores, 'accuracy', *(f'soft_{name}' for name in SCORES))
    assert found.pop('accuracy') >= 0
    assert all(math.isnan(score) for score in found.values())


def test_scores_that_are_no_probabilities():
    for build in (of_classes, of_labels):
        truth = [[1, 0]] if build is of_labels else [1]
        with pytest.raises(FFMMError, match=r'pred_score=-3: expected probabilities'):
            build(truth, [[-3.0, 0.5]], 'soft_accuracy')
        assert build(truth, [[-3.0, 0.5]], 'accuracy')


def test_a_head_that_gives_no_probabilities():
    metric = MulticlassMetric(['soft_kappa'])
    sample = dict(gt_label=torch.tensor([0]), pred_label=torch.tensor([0]))
    with pytest.raises(FFMMError, match='has no pred_score; leave soft scores out'):
        metric.process(None, [sample])


@pytest.mark.parametrize('metric', [MulticlassMetric, MultilabelMetric])
def test_no_such_score(metric):
    with pytest.raises(ValueError, match=r"'soft_macro_f1'.*got \['soft_recall'\]"):
        metric(items=['soft_recall'])


# --- labels ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        # Of the labels 1 of 2 is hit and 1.5 are predicted; 1 of 1, and 1.25.
        ('soft_accuracy', (0.75 + 0.5 + 0.25 + 0.75 + 1) / 5),
        ('soft_macro_recall', (1 / 2 + 1) / 2),
        ('soft_macro_precision', (1 / 1.5 + 1 / 1.25) / 2),
        ('soft_macro_f1', (2 / 3.5 + 2 / 2.25) / 2),
        ('soft_macro_specificity', (0.5 + 0.75) / 2),
    ],
)
def test_labels_by_hand(name, expected):
    found = of_labels(TRUTH, PROBABILITIES, name, threshold=3)
    assert found == {name: pytest.approx(expected, abs=1e-12)}


def test_one_label_by_hand():
    metric = dict(per_label=['soft_f1', 'recall'])
    found = of_labels(TRUTH, PROBABILITIES, 'soft_accuracy', **metric)
    assert found['soft_f1/1'] == pytest.approx(2 / 2.25)
    assert list(found)[1:] == ['soft_f1/0', 'soft_f1/1', 'recall/0', 'recall/1']


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.sampled_from([0, 0.3, 0.9]), st.integers(0, 10**6))
def test_certain_labels_have_the_scores_of_predicted_ones(cases, missing, seed):
    truth, scores = random_labels(cases, 3, missing, seed)
    names = [*ITEMS, *(f'{r}/{label}' for r in RATES for label in range(3))]
    metric = dict(per_label=with_soft(RATES))
    found = of_labels(truth, scores.round(), *with_soft(ITEMS), **metric)
    for name in names:
        soft, hard = found[f'soft_{name}'], found[name]
        assert soft == hard or (math.isnan(soft) and math.isnan(hard)), name


def test_what_is_predicted_where_a_label_is_missing_does_not_matter():
    names = [f'soft_{name}' for name in ITEMS]
    expected = of_labels(TRUTH, PROBABILITIES, *names)
    for value in (0, math.nan, 7):
        scores = np.array(PROBABILITIES)
        scores[1, 1] = value
        assert of_labels(TRUTH, scores, *names) == expected


def test_only_the_label_of_a_broken_score_is_undefined():
    scores = [[0.75, 0.25], [0.5, 0.5], [math.nan, 1]]
    found = of_labels(TRUTH, scores, 'soft_macro_f1', per_label=['soft_f1'])
    assert math.isnan(found['soft_macro_f1']) and math.isnan(found['soft_f1/0'])
    assert found['soft_f1/1'] == pytest.approx(2 / 2.25)


# --- class-balanced loss --------------------------------------------------------------


def balanced(samples: list[dict]) -> float:
    metric = ValidationLoss(items=['class_balanced_loss'])
    return evaluate(metric, samples)['class_balanced_loss']


def test_balanced_loss_of_classes_by_hand():
    expected = -(np.log([0.75, 0.5]).mean() + math.log(0.5)) / 2
    assert balanced(single_label(LABELS, SCORES_BY_HAND)) == pytest.approx(expected)


def test_balanced_loss_of_labels_by_hand():
    first = -(np.log([0.75, 0.25]).mean() + math.log(0.5)) / 2
    second = -(math.log(0.75) + math.log(1)) / 2
    found = balanced(multi_label(TRUTH, PROBABILITIES))
    assert found == pytest.approx((first + second) / 2)


def test_balanced_loss_of_a_label_of_one_kind_and_of_none():
    truth, scores = [[1, -1], [1, -1]], [[0.5, math.nan], [0.25, 0.5]]
    found = balanced(multi_label(truth, scores))
    assert found == pytest.approx(-np.log([0.5, 0.25]).mean())


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_balanced_loss_of_a_model_that_has_diverged(value):
    scores = [[0.5, 0.5], [value, 0.5]]
    assert math.isnan(balanced(single_label([0, 1], scores)))
    assert math.isnan(balanced(multi_label([[1, 0], [1, 0]], scores)))


def test_with_as_many_cases_of_each_class_it_is_the_loss():
    samples = single_label([0, 1, 2], random_classes(3, 3)[1])
    found = evaluate(ValidationLoss(items=['loss', 'class_balanced_loss']), samples)
    assert list(found) == ['loss', 'class_balanced_loss']
    assert found['class_balanced_loss'] == pytest.approx(found['loss'])
    assert list(evaluate(ValidationLoss(), samples)) == ['loss']
    with pytest.raises(ValueError, match='items must be some of'):
        ValidationLoss(items=['focal'])
