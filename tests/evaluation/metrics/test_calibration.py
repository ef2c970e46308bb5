from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
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
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from ff_mm.evaluation import CalibrationMetric

NAN = float('nan')


def calibration(samples: list[dict], **kwargs: object) -> dict:
    return evaluate(CalibrationMetric(**kwargs), samples)


# --- Brier score --------------------------------------------------------------------


def test_brier_of_classes_is_a_sum_over_classes_by_hand():
    scores = [[0.5, 0.25, 0.25], [0, 1, 0], [1, 0, 0]]
    result = calibration(single_label([0, 1, 1], scores), items=['brier'])
    assert result == {'brier': pytest.approx((0.375 + 0 + 2) / 3)}


def test_brier_of_two_classes_is_of_the_second():
    labels, scores = random_classes(50, 2)
    result = calibration(single_label(labels, scores))['brier']
    assert result == pytest.approx(brier_score_loss(labels, scores[:, 1]), rel=1e-6)
    assert result == pytest.approx(np.mean((scores[:, 1] - labels) ** 2), rel=1e-6)


def test_brier_of_labels_is_over_known_elements():
    truth = [[1, -1], [0, 1], [-1, 0]]
    scores = [[0.75, 0.5], [0.5, 0.5], [0.9, 0]]
    result = calibration(multi_label(truth, scores))['brier']
    assert result == pytest.approx((0.0625 + 0.25 + 0.25 + 0) / 4)


# --- expected calibration error -----------------------------------------------------


def test_ece_by_hand():
    # Two bins: confidences 0.75 and 0.5 with one hit, 0.75 in the upper; then 0.5,
    # closed on the right, lies in the lower.
    scores = [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.875, 0.125]]
    result = calibration(single_label([0, 0, 0, 0], scores), items=['ece'], n_bins=2)
    upper = abs(2 / 3 - (0.75 + 0.75 + 0.875) / 3)
    lower = abs(1 - 0.5)
    assert result == {'ece': pytest.approx(3 / 4 * upper + 1 / 4 * lower)}


@pytest.mark.parametrize('confidence', [0.2, 0.4, 0.6, 0.8, 1.0])
def test_bins_are_closed_on_the_right(confidence):
    # With a partner just below, in the same bin, the gaps 1 - c and -c' cancel in part;
    # in another bin they would add up.
    below = confidence - 0.1
    truth, scores = [[1], [0]], [[confidence], [below]]
    result = calibration(multi_label(truth, scores), n_bins=5)['ece']
    assert result == pytest.approx(abs(1 - confidence - below) / 2, abs=1e-6)


def test_zero_lies_in_the_first_bin():
    result = calibration(multi_label([[1], [0]], [[0.0], [0.2]]), n_bins=5)['ece']
    assert result == pytest.approx(abs(1 - 0.2) / 2, abs=1e-6)


@pytest.mark.parametrize('n_bins', [1, 10, 15])
def test_ece_of_labels_as_scikit_learns_curve(n_bins):
    truth, scores = random_labels(400, 3, missing=0.3)
    known = truth >= 0
    truth_known, probability = truth[known], scores[known]
    rate, confidence = calibration_curve(truth_known, probability, n_bins=n_bins)
    counts = np.histogram(probability, bins=n_bins, range=(0, 1))[0]
    expected = np.average(abs(rate - confidence), weights=counts[counts > 0])
    result = calibration(multi_label(truth, scores), n_bins=n_bins)['ece']
    assert result == pytest.approx(expected, rel=1e-5)


def test_always_certain():
    right, wrong = single_label([0, 1], np.eye(3)[:2]), single_label([0], [[0, 1, 0]])
    assert calibration(right) == {'brier': 0.0, 'ece': 0.0}
    assert calibration(wrong) == {'brier': 2.0, 'ece': 1.0}


# --- nothing to compute from, and what must not change it ---------------------------


def test_diverged_model_is_nan():
    result = calibration(single_label([0, 1], [[NAN, NAN], [0.5, 0.5]]))
    assert set(result) == {'brier', 'ece'}
    assert all(math.isnan(value) for value in result.values())


def test_nothing_known_is_nan_with_one_warning(log):
    result = calibration(multi_label([[-1]], [[0.5]]))
    assert all(math.isnan(value) for value in result.values())
    [record] = log.records
    assert 'CalibrationMetric: nothing is known' in record.getMessage()


@given(
    truth=arrays(np.int8, (8, 2), elements=st.sampled_from([-1, 0, 1])),
    scores=arrays(np.float32, (8, 2), elements=st.floats(0, 1, width=32)),
    order=st.permutations(list(range(8))),
    masked=st.sets(st.integers(0, 7), max_size=7),
)
@settings(max_examples=30, deadline=None)
def test_masking_is_deleting_and_order_does_not_matter(truth, scores, order, masked):
    truth[list(masked)] = -1
    scores[list(masked)] = NAN
    kept = [i for i in order if i not in masked]
    first = calibration(multi_label(truth, scores))
    second = calibration(multi_label(truth[kept], scores[kept]))
    assert first == pytest.approx(second, nan_ok=True)


def test_scores_that_are_no_probabilities():
    with pytest.raises(
        ValueError, match='pred_score=3: expected probabilities, from 0'
    ):
        calibration(multi_label([[1]], [[3.0]]))


# --- in MMEngine --------------------------------------------------------------------


def test_in_an_evaluator_from_a_config():
    config = dict(type='CalibrationMetric', n_bins=10)
    evaluator = Evaluator(METRICS.build(config))
    evaluator.process(single_label(*random_classes(30, 3)))
    result = evaluator.evaluate(30)
    assert list(result) == ['brier', 'ece']
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (dict(items=['mce']), 'items must be some of'),
        (dict(items=[]), 'items must be some of'),
        (dict(n_bins=0), 'n_bins must be 1 or more, got 0'),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        CalibrationMetric(**wrong)
