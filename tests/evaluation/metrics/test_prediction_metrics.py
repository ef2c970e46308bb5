"""Metrics of predictions: those of MMEngine's evaluator, and of any resample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import DefaultScope
from mmpretrain.registry import METRICS
from scikit_learn import of_classes, of_labels
from scored_samples import (
    multi_label,
    random_classes,
    random_labels,
    single_label,
)

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.evaluation.metrics.multiclass import SCORES
from ff_mm.evaluation.metrics.multilabel import ITEMS
from ff_mm.evaluation.metrics.offline import silence
from ff_mm.evaluation.metrics.prediction_metrics import PredictionMetrics
from ff_mm.evaluation.metrics.soft import with_soft

RANKS_AND_COSTS = [
    dict(type='AUROC'),
    dict(type='MeanAveragePrecision'),
    dict(type='CalibrationMetric'),
    dict(type='ValidationLoss', items=['loss', 'class_balanced_loss']),
]
OF_CLASSES = [
    dict(type='MulticlassMetric', items=with_soft(SCORES), per_class=['recall']),
    *RANKS_AND_COSTS,
]
OF_LABELS = [
    dict(type='MultilabelMetric', items=with_soft(ITEMS), per_label=['f1']),
    *RANKS_AND_COSTS,
]


@dataclass
class Scored:
    truth: np.ndarray
    scores: np.ndarray


def evaluated(config, samples, meta=None):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        evaluator = Evaluator(config)
    evaluator.dataset_meta = meta
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def draw_counts(cases, resamples, seed=0):
    draw = np.random.default_rng(seed)
    return draw.multinomial(cases, [1 / cases] * cases, resamples).astype(float)


def require_equal_to_repeated(evaluator, cases, counts):
    """Compares resamples with scikit-learn's values of cases that are repeated."""
    found = PredictionMetrics(evaluator, None).resampled(cases).values(counts)
    oracle = of_labels if cases.truth.ndim == 2 else of_classes
    for resample, times in enumerate(counts.astype(int)):
        chosen = np.repeat(np.arange(len(times)), times)
        expected = oracle(cases.truth[chosen], cases.scores[chosen])
        for name, values in found.items():
            assert values[resample] == pytest.approx(
                expected[name], rel=0, abs=1e-12, nan_ok=True
            ), name


@pytest.mark.parametrize('classes', [2, 5])
def test_the_values_are_those_of_the_evaluator(classes):
    labels, scores = random_classes(60, classes)
    evaluator = [
        *OF_CLASSES,
        dict(type='mmpretrain.Accuracy', topk=(1, 2)),
        dict(type='mmpretrain.SingleLabelMetric'),
        dict(type='AUROC', prefix='again', per_label=True),
    ]
    meta = dict(classes=[f'class {i}' for i in range(classes)])
    expected = evaluated(evaluator, single_label(labels, scores), meta)
    found = PredictionMetrics(evaluator, meta).evaluate(Scored(labels, scores))
    assert found == expected
    assert list(found) == list(expected)


def test_the_values_of_labels_are_those_of_the_evaluator():
    truth, scores = random_labels(60, 4, missing=0.2)
    evaluator = dict(type='Evaluator', metrics=OF_LABELS)
    expected = evaluated(OF_LABELS, multi_label(truth, scores))
    metrics = PredictionMetrics(evaluator, None)
    assert metrics.evaluate(Scored(truth.astype(np.int8), scores)) == expected


def test_of_whole_labels_mmpretrain_gives_the_same_too():
    truth, scores = random_labels(40, 3, missing=0)
    config = [dict(type='mmpretrain.MultiLabelMetric', thr=0.5)]
    found = PredictionMetrics(config, None).evaluate(Scored(truth, scores))
    assert found == evaluated(config, multi_label(truth, scores))


def test_twice_the_same_is_the_same():
    cases = Scored(*random_classes(20, 3))
    metrics = PredictionMetrics(OF_CLASSES, None)
    assert metrics.evaluate(cases) == metrics.evaluate(cases)


def test_each_case_once_is_the_whole_set():
    cases = Scored(*random_classes(50, 4))
    metrics = PredictionMetrics(OF_CLASSES, None)
    once = metrics.resampled(cases).values(np.ones((1, 50)))
    every = metrics.evaluate(cases)
    assert list(once) == [
        *with_soft(SCORES),
        *('auroc', 'average_precision', 'brier', 'ece', 'loss', 'class_balanced_loss'),
    ]
    for name, value in once.items():
        assert value == pytest.approx([every[name]], abs=1e-12)


@pytest.mark.parametrize('number', [2, 3, 7])
def test_resamples_of_classes(number):
    labels, scores = random_classes(80, number)
    # Ties, within a case and between cases.
    scores = np.round(scores, 1)
    require_equal_to_repeated(
        OF_CLASSES[:-2], Scored(labels, scores), draw_counts(80, 20)
    )
    scores /= scores.sum(axis=1, keepdims=True)
    require_equal_to_repeated(OF_CLASSES, Scored(labels, scores), draw_counts(80, 20))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(2, 5),
    st.integers(1, 12),
    st.integers(0, 10**6),
    st.sampled_from([None, 1, 2]),
    st.booleans(),
)
def test_resamples_of_few_cases_of_classes(number, cases, seed, digits, diverged):
    labels, scores = random_classes(cases, number, seed)
    if digits:
        scores = scores.round(digits)
        scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    if diverged:
        scores[seed % cases] = np.nan
    require_equal_to_repeated(
        OF_CLASSES, Scored(labels, scores), draw_counts(cases, 3, seed)
    )


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 4),
    st.integers(1, 12),
    st.sampled_from([0, 0.3, 0.8]),
    st.integers(0, 10**6),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
)
def test_resamples_of_few_cases_of_labels(
    number, cases, missing, seed, digits, diverged
):
    truth, scores = random_labels(cases, number, missing, seed)
    scores = scores if digits is None else scores.round(digits)
    if diverged:
        scores[seed % cases, 0] = np.nan
    require_equal_to_repeated(
        OF_LABELS, Scored(truth.astype(np.int8), scores), draw_counts(cases, 3, seed)
    )


def test_a_subclass_is_computed_by_what_it_says_itself():
    cases = Scored(*random_classes(10, 3))
    names = ('HalfLoss', 'ThirdLoss', 'ValidationLoss')
    metrics = PredictionMetrics([dict(type=name) for name in names], None)
    found = metrics.resampled(cases).values(draw_counts(10, 4))
    assert found['half'] == pytest.approx(found['loss'] / 2)
    assert found['third'] == pytest.approx(found['loss'] / 3)


@METRICS.register_module()
class HalfLoss(METRICS.get('ValidationLoss')):
    def compute_metrics(self, results):
        return {'half': super().compute_metrics(results)['loss'] / 2}


@METRICS.register_module()
class ThirdLoss(METRICS.get('ValidationLoss')):
    def scores(self, truth, predicted):
        scores = super().scores(truth, predicted)
        return lambda counts: {'third': scores(counts)['loss'] / 3}


def test_metrics_of_mmpretrain_with_their_prefixes():
    labels, scores = random_classes(30, 3)
    evaluator = [
        dict(type='mmpretrain.Accuracy', topk=(1, 2)),
        dict(type='mmpretrain.SingleLabelMetric'),
    ]
    counts = draw_counts(30, 6)
    resampled = PredictionMetrics(evaluator, None).resampled(Scored(labels, scores))
    found = resampled.values(counts)
    assert resampled.names == [
        *('accuracy/top1', 'accuracy/top2'),
        *(f'single-label/{name}' for name in ('precision', 'recall', 'f1-score')),
    ]
    right = scores.argmax(axis=1) == labels
    assert found['accuracy/top1'] == pytest.approx(counts @ right / 30 * 100)


def test_no_interval_is_asked_of_counts_matrices_and_single_classes():
    # No case of class 2, so auroc_left_out is 1.
    cases = Scored(np.array([0, 1, 0, 1]), random_classes(4, 3)[1])
    evaluator = [
        dict(type='MulticlassMetric', per_class=['f1'], confusion_matrix=True),
        dict(type='AUROC', per_label=True, prefix='mine'),
    ]
    metrics = PredictionMetrics(evaluator, None)
    assert metrics.evaluate(cases)['mine/auroc_left_out'] == 1
    assert metrics.resampled(cases).names == [
        *('accuracy', 'macro_recall', 'macro_f1', 'mine/auroc'),
    ]


def test_what_a_resample_leaves_undefined_is_nan_and_not_said_again(log):
    cases = Scored(np.array([0, 0, 1]), random_classes(3, 2)[1])
    metrics = PredictionMetrics(dict(type='AUROC'), None)
    counts = np.array([[1.0, 2, 0], [1, 1, 1]])
    auroc = metrics.resampled(cases).values(counts)['auroc']
    assert np.isnan(auroc).tolist() == [True, False]
    assert not log.records


def test_a_broken_score_counts_only_where_its_case_is_drawn():
    labels, scores = random_classes(4, 3)
    scores[3] = np.nan
    metrics = PredictionMetrics(OF_CLASSES, None)
    found = metrics.resampled(Scored(labels, scores))
    values = found.values(np.array([[2.0, 1, 1, 0], [1, 1, 1, 1]]))
    assert np.isnan(values['loss']).tolist() == [False, True]
    assert np.isnan(values['brier']).tolist() == [False, True]
    assert np.isnan(values['class_balanced_loss']).tolist() == [False, True]
    for name in SCORES:
        assert np.isnan(values[f'soft_{name}']).tolist() == [False, True]


@METRICS.register_module()
class OneThingABatch(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return {'cases': float(sum(results))}


def test_a_metric_that_keeps_no_cases_has_no_resamples():
    cases = Scored(*random_classes(5, 2))
    metrics = PredictionMetrics(dict(type='OneThingABatch'), None)
    with silence():
        assert metrics.evaluate(cases) == {'cases': 5}
        with pytest.raises(
            FFMMError, match='OneThingABatch keeps 1 results of 5 cases'
        ):
            metrics.resampled(cases).values(np.ones((1, 5)))


def test_what_cannot_be_built_and_what_does_not_fit():
    with pytest.raises(ConfigError, match='Nonsense is not in'):
        PredictionMetrics(dict(type='Nonsense'), None)
    metrics = PredictionMetrics(dict(type='MultilabelMetric'), None)
    with pytest.raises(FFMMError, match='MulticlassMetric'):
        metrics.evaluate(Scored(*random_classes(5, 2)))


def test_results_are_not_dumped_anew(tmp_path):
    file = tmp_path / 'results.pkl'
    dump = dict(type='mmengine.DumpResults', out_file_path=str(file))
    metrics = PredictionMetrics([dump, dict(type='ValidationLoss')], None)
    assert list(metrics.evaluate(Scored(*random_classes(5, 2)))) == ['loss']
    assert not file.exists()
