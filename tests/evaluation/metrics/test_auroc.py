from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from scored_samples import (
    evaluate,
    multi_label,
    random_classes,
    random_labels,
    single_label,
)
from sklearn.metrics import average_precision_score, roc_auc_score

from ff_mm.evaluation import AUROC, MeanAveragePrecision

NAN = float('nan')
BOTH = pytest.mark.parametrize('metric', [AUROC, MeanAveragePrecision])
FUNCTIONS = {AUROC: roc_auc_score, MeanAveragePrecision: average_precision_score}


def auroc(samples: list[dict], **kwargs: object) -> dict:
    return evaluate(AUROC(**kwargs), samples)


def mean_of(metric: type, samples: list[dict]) -> float:
    return evaluate(metric(), samples)[metric.name]


# --- by hand ------------------------------------------------------------------------


def test_binary_by_hand():
    # Pairs of a case of class 1 and one of class 0: two right, one tied, one wrong.
    positive = [0.8, 0.3]
    negative = [0.3, 0.5]
    scores = [[1 - p, p] for p in positive + negative]
    result = auroc(single_label([1, 1, 0, 0], scores))
    assert result == {'auroc': pytest.approx(2.5 / 4), 'auroc_left_out': 0}


def test_binary_average_precision_by_hand():
    # From the top: hit (1/1), miss, hit (2/3).
    scores = [[1 - p, p] for p in (0.9, 0.7, 0.5, 0.2)]
    result = evaluate(MeanAveragePrecision(), single_label([1, 0, 1, 0], scores))
    assert result['average_precision'] == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_equal_scores_are_one_threshold_whatever_their_order():
    first = multi_label([[1], [0]], [[0.5], [0.5]])
    for samples in (first, first[::-1]):
        assert mean_of(AUROC, samples) == 0.5
        assert mean_of(MeanAveragePrecision, samples) == 0.5


def test_missing_labels_by_hand():
    truth = [[1, -1, -1], [0, 1, 1], [1, 0, 1], [-1, 0, -1]]
    scores = [[0.9, 0.9, 0.1], [0.5, 0.8, 0.2], [0.1, 0.3, 0.3], [0.7, 0.8, 0.4]]
    result = evaluate(AUROC(), multi_label(truth, scores), ['mass', 'nodule', 'other'])
    expected = {
        'auroc': (1 / 2 + 3 / 4) / 2,
        'auroc_left_out': 1,
        'auroc/mass': 1 / 2,
        'auroc/nodule': 3 / 4,
        'auroc/other': NAN,
    }
    assert result == pytest.approx(expected, nan_ok=True)
    assert list(result) == list(expected)


# --- scikit-learn on what is known --------------------------------------------------


@BOTH
def test_multi_label_as_scikit_learn_on_the_known_part(metric):
    truth, scores = random_labels(300, 6, missing=0.4)
    truth[:, 2] = np.where(truth[:, 2] == 1, -1, truth[:, 2])  # never present
    truth[:, 4] = -1  # never known
    result = evaluate(metric(), multi_label(truth, scores))
    expected = {}
    for i in (0, 1, 3, 5):
        known = truth[:, i] >= 0
        expected[i] = FUNCTIONS[metric](truth[known, i], scores[known, i])
        assert result[f'{metric.name}/{i}'] == pytest.approx(expected[i])
    assert result[metric.name] == pytest.approx(np.mean(list(expected.values())))
    assert result[f'{metric.name}_left_out'] == 2
    assert math.isnan(result[f'{metric.name}/2'])
    assert math.isnan(result[f'{metric.name}/4'])


def test_one_against_the_rest_as_scikit_learn():
    labels, scores = random_classes(200, 5)
    scores = scores.astype(np.float64)
    scores /= scores.sum(axis=1, keepdims=True)
    expected = roc_auc_score(labels, scores, multi_class='ovr')
    assert mean_of(AUROC, single_label(labels, scores)) == pytest.approx(expected)


@BOTH
def test_absent_classes_are_left_out_and_counted(metric):
    labels, scores = random_classes(200, 5)
    kept = (labels != 1) & (labels != 4)
    result = evaluate(metric(), single_label(labels[kept], scores[kept]))
    expected = [
        FUNCTIONS[metric](labels[kept] == c, scores[kept, c]) for c in (0, 2, 3)
    ]
    assert result[metric.name] == pytest.approx(np.mean(expected))
    assert result[f'{metric.name}_left_out'] == 2


# --- nothing to compute from --------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    'truth', [[[1], [1]], [[0], [0]], [[-1], [-1]], [[1], [-1]]], ids=str
)
def test_no_usable_label_is_nan_with_one_warning(metric, truth, log):
    result = evaluate(metric(), multi_label(truth, [[0.3], [0.6]]))
    assert math.isnan(result[metric.name])
    assert result[f'{metric.name}_left_out'] == 1
    [record] = log.records
    assert record.getMessage().startswith(f'{metric.__name__}: no label is present')


@BOTH
def test_single_class_of_two_is_nan(metric):
    result = evaluate(metric(), single_label([1, 1], [[0.3, 0.7], [0.6, 0.4]]))
    assert math.isnan(result[metric.name])
    assert result[f'{metric.name}_left_out'] == 1


@BOTH
@pytest.mark.parametrize('bad', [NAN, float('inf')])
def test_diverged_model_is_nan_and_not_left_out(metric, bad):
    truth, scores = random_labels(40, 3, missing=0.2)
    scores[truth[:, 1].argmax(), 1] = bad
    result = evaluate(metric(), multi_label(truth, scores))
    assert math.isnan(result[metric.name])
    assert math.isnan(result[f'{metric.name}/1'])
    assert result[f'{metric.name}/0'] > 0
    assert result[f'{metric.name}_left_out'] == 0


@BOTH
def test_all_predictions_nan(metric):
    result = evaluate(metric(), single_label([0, 1, 2], torch.full((3, 3), NAN)))
    assert math.isnan(result[metric.name])


# --- values by label ----------------------------------------------------------------


@pytest.mark.parametrize('per_label', [None, True, False])
def test_per_label(per_label):
    classes = ['akiec', 'bcc', 'mel']
    single = single_label(*random_classes(50, 3))
    multi = multi_label(*random_labels(50, 3, missing=0.1))
    names = {f'auroc/{name}' for name in classes}
    for samples, default in ((single, False), (multi, True)):
        result = evaluate(AUROC(per_label), samples, classes)
        wanted = default if per_label is None else per_label
        assert set(result) - {'auroc', 'auroc_left_out'} == (names if wanted else set())


def test_of_two_classes_the_second_is_named():
    samples = single_label([0, 1], [[0.7, 0.3], [0.4, 0.6]])
    result = evaluate(AUROC(per_label=True), samples, ['normal', 'opacity'])
    assert result == {'auroc': 1.0, 'auroc_left_out': 0, 'auroc/opacity': 1.0}


def test_labels_without_a_name_have_their_number():
    samples = multi_label([[1, 0, 1], [0, 1, 0]], [[0.6, 0.1, 0.2], [0.4, 0.6, 0.1]])
    result = evaluate(AUROC(), samples, ['only', 'two'])
    assert [name for name in result if '/' in name] == [
        'auroc/only',
        'auroc/two',
        'auroc/2',
    ]


# --- what must not change it --------------------------------------------------------

truths = arrays(np.int8, (12, 3), elements=st.sampled_from([-1, 0, 1]))
scores_of_truths = arrays(np.int64, (12, 3), elements=st.integers(0, 20))


def same(first: dict, second: dict) -> bool:
    return first == pytest.approx(second, nan_ok=True)


@BOTH
@given(truth=truths, scores=scores_of_truths)
@settings(max_examples=30, deadline=None)
def test_strictly_monotone_maps_do_not_change_it(metric, truth, scores):
    # The map is its own for each label; 1/32 and the squares are exact in float32.
    mapped = np.stack([scores[:, 0] ** 2, scores[:, 1] + 7, 3 * scores[:, 2]], axis=1)
    first = evaluate(metric(), multi_label(truth, scores / 32))
    assert same(first, evaluate(metric(), multi_label(truth, mapped / 2048)))


@given(truth=truths, scores=scores_of_truths)
@settings(max_examples=30, deadline=None)
def test_scores_turned_round_give_one_minus_auroc(truth, scores):
    truth[:2] = [[1], [0]]  # no label is left out
    first = mean_of(AUROC, multi_label(truth, scores / 32))
    second = mean_of(AUROC, multi_label(truth, 1 - scores / 32))
    assert first == pytest.approx(1 - second)


@BOTH
@given(truth=truths, scores=scores_of_truths, order=st.permutations(list(range(12))))
@settings(max_examples=30, deadline=None)
def test_order_of_the_cases_does_not_matter(metric, truth, scores, order):
    scores = scores / 32
    first = evaluate(metric(), multi_label(truth, scores))
    assert same(first, evaluate(metric(), multi_label(truth[order], scores[order])))


@BOTH
@given(truth=truths, scores=scores_of_truths, masked=st.sets(st.integers(0, 11)))
@settings(max_examples=30, deadline=None)
def test_masking_is_deleting(metric, truth, scores, masked):
    assume(len(masked) < 12)
    scores = scores / 32
    kept = [i for i in range(12) if i not in masked]
    truth[list(masked)] = -1
    scores[list(masked)] = NAN  # whatever is predicted there
    first = evaluate(metric(), multi_label(truth, scores))
    assert same(first, evaluate(metric(), multi_label(truth[kept], scores[kept])))


# --- in MMEngine --------------------------------------------------------------------


@BOTH
def test_in_an_evaluator_from_a_config(metric, log):
    samples = multi_label(*random_labels(30, 2, missing=0.2))
    evaluator = Evaluator(METRICS.build(dict(type=metric.__name__)))
    evaluator.dataset_meta = dict(classes=('edema', 'pleural effusion'))
    evaluator.process(samples)
    result = evaluator.evaluate(30)
    assert not log.records
    name = metric.name
    assert json.loads(json.dumps(result)) == result
    assert list(result) == [
        name,
        f'{name}_left_out',
        f'{name}/edema',
        f'{name}/pleural effusion',
    ]
    assert type(result[f'{name}_left_out']) is int


def test_prefix_is_put_before():
    samples = multi_label([[1], [0]], [[0.6], [0.4]])
    assert auroc(samples, prefix='ood') == {
        'ood/auroc': 1.0,
        'ood/auroc_left_out': 0,
        'ood/auroc/0': 1.0,
    }
