from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_mm.analysis.trajectory.diversity import diversity
from ff_mm.evaluation.predictions import Predictions, PredictionsError


def one_hot(classes, number=3):
    return np.eye(number, dtype=np.float32)[list(classes)]


def of_classes(truth, *said):
    cases = tuple(map(str, range(len(truth))))
    return {
        str(i): Predictions(one_hot(classes), np.array(truth), cases)
        for i, classes in enumerate(said)
    }


def test_shares_of_cases():
    truth = [0, 1, 2, 0]
    found = diversity(of_classes(truth, [0, 1, 2, 1], [0, 0, 2, 2], truth))
    assert found.errors.tolist() == [0.25, 0.5, 0]
    assert found.disagreement.tolist() == [
        [0, 0.5, 0.25],
        [0.5, 0, 0.5],
        [0.25, 0.5, 0],
    ]
    assert found.normalised[0, 1] == pytest.approx(0.5 / 0.375)
    assert found.normalised[0, 2] == pytest.approx(0.25 / 0.125)


@given(st.data())
def test_it_is_what_counting_gives(data):
    cases = data.draw(st.integers(1, 12))
    row = st.lists(st.integers(0, 2), min_size=cases, max_size=cases)
    truth = data.draw(row)
    said = data.draw(st.lists(row, min_size=2, max_size=5))
    found = diversity(of_classes(truth, *said))
    for i, one in enumerate(said):
        wrong = sum(a != b for a, b in zip(one, truth, strict=True)) / cases
        assert found.errors[i] == pytest.approx(wrong)
        for j, other in enumerate(said):
            differ = sum(a != b for a, b in zip(one, other, strict=True)) / cases
            assert found.disagreement[i, j] == pytest.approx(differ)
            # Where both are right they agree.
            most = found.errors[i] + found.errors[j]
            assert found.disagreement[i, j] <= most + 1e-12
            if most:
                assert found.normalised[i, j] <= 2 + 1e-12
    assert (found.disagreement == found.disagreement.T).all()


def test_models_without_an_error_have_no_normalised_disagreement():
    found = diversity(of_classes([0, 1], [0, 1], [0, 1]))
    assert found.disagreement.max() == 0
    assert np.isnan(found.normalised).all()


def several_labels(truth, *scores):
    cases = tuple(map(str, range(len(truth))))
    return {
        str(i): Predictions(np.array(each), np.array(truth, np.int8), cases)
        for i, each in enumerate(scores)
    }


def test_labels_count_alike_however_many_cases_they_are_known_of():
    truth = [[1, 0, -1], [0, -1, -1], [1, -1, -1], [0, 1, -1]]
    a = [[0.9, 0.5, 0.9], [0.1, 0.9, 0.9], [0.9, 0.9, 0.9], [0.1, 0.7, 0.9]]
    b = [[0.9, 0.4, 0.1], [0.7, 0.1, 0.1], [0.9, 0.1, 0.1], [0.1, 0.9, 0.1]]
    found = diversity(several_labels(truth, a, b))
    # Of the first label 1 of 4, of the second 1 of 2 (0.5 is predicted, 0.4 is not);
    # of the third nothing is known.
    assert found.disagreement[0, 1] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert found.errors.tolist() == pytest.approx([(0 + 1 / 2) / 2, (1 / 4 + 0) / 2])


def test_a_model_that_predicts_nan_is_compared_with_none():
    predictions = of_classes([0, 1, 2], [0, 1, 1], [0, 2, 2], [1, 1, 1])
    broken = np.full((3, 3), np.nan, np.float32)
    predictions['1'] = Predictions(broken, [0, 1, 2], ('0', '1', '2'))
    found = diversity(predictions)
    assert np.isnan(found.disagreement[1]).all()
    assert np.isnan(found.disagreement[:, 1]).all()
    assert np.isnan(found.errors[1])
    assert found.disagreement[0, 2] == pytest.approx(1 / 3)
    assert np.isnan(found.normalised[0, 1])


def test_other_cases_are_refused():
    predictions = of_classes([0, 1], [0, 1])
    predictions['b'] = Predictions(one_hot([0, 1]), [0, 1], ('0', 'other'))
    with pytest.raises(PredictionsError, match='other cases'):
        diversity(predictions)
