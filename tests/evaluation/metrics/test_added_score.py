"""A score that is added as CONTRIBUTING.md says is right wherever it is used."""

from __future__ import annotations

import numpy as np
import pytest
from scored_samples import random_classes, single_label
from sklearn.metrics import matthews_corrcoef

from ff_mm.evaluation import MulticlassMetric
from ff_mm.evaluation.metrics import multiclass
from ff_mm.evaluation.metrics.attainable import AttainableScore
from ff_mm.evaluation.metrics.base import Claim
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics


def mcc(confusion: np.ndarray) -> np.ndarray:
    """Matthews' correlation coefficient of several classes (Gorodkin 2004)."""
    cases = confusion.sum(axis=(1, 2))
    true, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    hits = np.trace(confusion, axis1=1, axis2=2)
    above = hits * cases - (true * predicted).sum(axis=1)
    squares = [cases**2 - np.square(margin).sum(axis=1) for margin in (true, predicted)]
    return above / np.sqrt(squares[0] * squares[1])


class Scored:
    truth, scores = random_classes(60, 3)


@pytest.fixture(autouse=True)
def added(monkeypatch):
    monkeypatch.setitem(multiclass.SCORES, 'mcc', mcc)


def expected(times: np.ndarray) -> float:
    chosen = np.repeat(np.arange(60), times)
    predicted = Scored.scores.argmax(axis=1)
    return matthews_corrcoef(Scored.truth[chosen], predicted[chosen])


def test_value_and_resamples():
    metrics = PredictionMetrics(dict(type='MulticlassMetric', items=['mcc']), None)
    value = metrics.evaluate(Scored)['mcc']
    assert value == pytest.approx(expected(np.ones(60, int)), abs=1e-12)
    counts = np.random.default_rng(0).multinomial(60, [1 / 60] * 60, 40)
    found = metrics.resampled(Scored).values(counts.astype(float))['mcc']
    assert found == pytest.approx([expected(times) for times in counts], abs=1e-12)
    assert len(set(found)) > 30


def test_no_pass_ends_early_for_it_until_its_author_says_so(monkeypatch):
    samples = single_label(Scored.truth, Scored.scores)
    metric = MulticlassMetric(items=['accuracy', 'mcc'])
    find = AttainableScore.find
    assert find([metric], 'accuracy', 'greater', samples)
    assert not find([metric], 'mcc', 'greater', samples)
    assert not find([metric], 'mcc', 'less', samples)
    monkeypatch.setitem(multiclass.CLAIMS, 'mcc', Claim('greater'))
    score = find([metric], 'mcc', 'greater', samples)
    assert score.best(range(60)) == pytest.approx(1)
    metric.process(None, samples)
    assert score.best([]) == pytest.approx(expected(np.ones(60, int)))
