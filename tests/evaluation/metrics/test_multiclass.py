from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample
from scikit_learn import of_predicted_classes

from ff_mm.evaluation import MulticlassMetric
from ff_mm.evaluation.metrics.multiclass import KAPPA_WEIGHTS, SCORES


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


pairs = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30
)


def test_scores_stand_in_for_labels():
    metric = MulticlassMetric(items=['accuracy'])
    sample = DataSample().set_gt_label(2).set_pred_score(torch.tensor([0.1, 0.3, 0.6]))
    metric.process(None, [sample.to_dict()])
    assert metric.results == [(2, 2)]
    assert metric.evaluate(1) == {'accuracy': 1.0}


def test_in_an_evaluator_without_noise(log):
    evaluator = Evaluator(METRICS.build(dict(type='MulticlassMetric')))
    assert not log.records
    sample = DataSample().set_gt_label(1).set_pred_score(np.eye(3, dtype='f4')[1])
    evaluator.process([sample])
    names = {'accuracy', 'macro_recall', 'macro_f1'}
    assert evaluator.evaluate(1) == dict.fromkeys(names, 1.0)


def test_prefix_is_put_before():
    assert evaluate([0], [0], items=['accuracy'], prefix='ood') == {'ood/accuracy': 1.0}


@pytest.mark.parametrize('items', [['kapa'], []])
def test_wrong_items(items):
    with pytest.raises(ValueError, match=r"items must be some of \['accuracy', "):
        MulticlassMetric(items=items)


def test_wrong_per_class():
    with pytest.raises(ValueError, match=r"per_class must be some of \['recall', "):
        MulticlassMetric(per_class=['accuracy'])


# --- the scores that are not there by default ---------------------------------------

ALL = tuple(SCORES)
PER_CLASS = ('recall', 'precision', 'f1', 'specificity')
KAPPAS = tuple(KAPPA_WEIGHTS)


def test_all_by_hand():
    # Rows true, columns predicted: [[2, 1], [0, 1]].
    scores = evaluate([0, 0, 0, 1], [0, 0, 1, 1], items=ALL)
    kappa = (3 / 4 - 1 / 2) / (1 - 1 / 2)
    assert scores == pytest.approx(
        {
            'accuracy': 3 / 4,
            'balanced_accuracy': (2 / 3 + 1) / 2,
            'macro_recall': (2 / 3 + 1) / 2,
            'macro_precision': (1 + 1 / 2) / 2,
            'macro_f1': (4 / 5 + 2 / 3) / 2,
            'macro_specificity': (1 + 2 / 3) / 2,
            **dict.fromkeys(KAPPAS, kappa),
        }
    )
    assert all(type(value) is float for value in scores.values())


@given(pairs)
@settings(max_examples=50, deadline=None)
def test_all_as_scikit_learn(pairs):
    true, predicted = map(list, zip(*pairs, strict=True))
    found = evaluate(true, predicted, items=ALL)
    # To the last bit, so that candidates that were equal are equal still.
    exact = {name: found[name] for name in ALL if 'kappa' not in name}
    expected = of_predicted_classes(np.array(true), np.array(predicted), 7)
    assert exact == {name: expected[name] for name in exact}
    assert found == pytest.approx(expected, nan_ok=True)


@given(pairs)
@settings(max_examples=15, deadline=None)
def test_macro_scores_are_the_mean_of_the_classes_that_occur(pairs):
    true, predicted = map(list, zip(*pairs, strict=True))
    scores = evaluate(true, predicted, items=ALL, per_class=PER_CLASS)
    for name in PER_CLASS:
        values = [v for key, v in scores.items() if key.startswith(f'{name}/')]
        assert scores[f'macro_{name}'] == pytest.approx(np.nanmean(values))
        occurring = len({*true, *predicted})
        assert np.isfinite(values).sum() == occurring


@given(pairs)
@settings(max_examples=15, deadline=None)
def test_no_score_warns(pairs):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        metric = MulticlassMetric(ALL, PER_CLASS, confusion_matrix=True)
        metric.dataset_meta = dict(classes='abcdefg')
        metric.results = list(pairs)
        metric.evaluate(len(pairs))


def test_class_predicted_but_never_true_is_not_in_the_balanced_accuracy():
    scores = evaluate([0, 0], [0, 2], items=['balanced_accuracy', 'macro_recall'])
    assert scores == {'balanced_accuracy': 1 / 2, 'macro_recall': 1 / 4}


def test_published_kappas():
    # The example of Cohen (1960): 200 cases, 70 % agreement, 41 % by chance.
    matrix = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    true, predicted = (
        np.repeat(np.indices((3, 3))[axis].ravel(), matrix.ravel()) for axis in (0, 1)
    )
    scores = evaluate(true.tolist(), predicted.tolist(), items=['kappa'])
    assert scores['kappa'] == pytest.approx((0.70 - 0.41) / (1 - 0.41))
    assert scores['kappa'] == pytest.approx(0.492, abs=5e-4)


def test_a_grade_that_does_not_occur_keeps_its_place():
    # Grades 0, 1 and 4: taking 4 for 1 is worse than taking 1 for 0.
    near = evaluate([0, 0, 1, 4], [0, 1, 1, 4], items=['quadratic_kappa'])
    far = evaluate([0, 1, 4, 4], [0, 1, 1, 4], items=['quadratic_kappa'])
    weights = (np.arange(5) - np.arange(5)[:, None]) ** 2
    expected = weights * np.outer([2, 1, 0, 0, 1], [1, 2, 0, 0, 1]) / 4
    assert near['quadratic_kappa'] == pytest.approx(1 - 1 / expected.sum())
    assert near['quadratic_kappa'] > far['quadratic_kappa']


def test_perfect_and_opposite_kappas():
    assert evaluate([0, 1, 2], [0, 1, 2], items=KAPPAS) == dict.fromkeys(KAPPAS, 1)
    assert evaluate([0, 1], [1, 0], items=KAPPAS) == dict.fromkeys(KAPPAS, -1)
    constant = evaluate([0, 1, 2, 2], [1, 1, 1, 1], items=KAPPAS)
    assert constant == pytest.approx(dict.fromkeys(KAPPAS, 0), abs=1e-12)


def test_kappa_of_a_single_class_is_nan():
    scores = evaluate([3, 3], [3, 3], items=KAPPAS)
    assert all(math.isnan(value) for value in scores.values())


def test_per_class_by_the_names_of_the_data_set():
    metric = MulticlassMetric(items=['accuracy'], per_class=['recall', 'precision'])
    metric.dataset_meta = dict(classes=('bcc', 'mel', 'nv'))
    metric.results = [(0, 0), (0, 2), (2, 2)]
    scores = metric.evaluate(3)
    assert scores == pytest.approx(
        {
            'accuracy': 2 / 3,
            'recall/bcc': 1 / 2,
            'recall/mel': float('nan'),
            'recall/nv': 1,
            'precision/bcc': 1,
            'precision/mel': float('nan'),
            'precision/nv': 1 / 2,
        },
        nan_ok=True,
    )


def test_classes_that_the_data_set_does_not_name_have_their_number():
    scores = evaluate([0, 1], [0, 1], per_class=['recall'])
    assert [key for key in scores if '/' in key] == ['recall/0', 'recall/1']


def test_confusion_matrix_has_rows_of_true_classes():
    scores = evaluate([0, 0, 2], [0, 2, 2], items=['accuracy'], confusion_matrix=True)
    assert scores['confusion_matrix'] == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert json.loads(json.dumps(scores)) == scores


def test_confusion_matrix_has_all_classes_of_the_data_set():
    metric = MulticlassMetric(confusion_matrix=True)
    metric.dataset_meta = dict(classes=('a', 'b', 'c', 'd'))
    metric.results = [(1, 0)]
    matrix = metric.evaluate(1)['confusion_matrix']
    assert matrix == [[0] * 4, [1, 0, 0, 0], [0] * 4, [0] * 4]
