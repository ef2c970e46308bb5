from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from scikit_learn import of_labels
from scored_samples import evaluate, multi_label, random_labels, single_label

from ff_mm.errors import FFMMError
from ff_mm.evaluation import MultilabelMetric

NAN = float('nan')
SCORES = ('recall', 'precision', 'f1', 'specificity')
ALL = ('accuracy', *(f'macro_{name}' for name in SCORES))


def test_by_hand():
    truth = [[1, 1], [1, 0], [0, -1], [0, -1], [-1, -1]]
    scores = [[0.9, 0.5], [0.2, 0.1], [0.6, 0.9], [0.3, 0.9], [0.9, 0.9]]
    metric = MultilabelMetric(items=ALL, per_label=SCORES)
    # mass: TP, FN, FP, TN; edema: TP, TN.
    assert evaluate(metric, multi_label(truth, scores), ['mass', 'edema']) == {
        'accuracy': pytest.approx(4 / 6),
        'macro_recall': pytest.approx((1 / 2 + 1) / 2),
        'macro_precision': pytest.approx((1 / 2 + 1) / 2),
        'macro_f1': pytest.approx((1 / 2 + 1) / 2),
        'macro_specificity': pytest.approx((1 / 2 + 1) / 2),
        **{f'{name}/mass': 0.5 for name in SCORES},
        **{f'{name}/edema': 1.0 for name in SCORES},
    }


@pytest.mark.parametrize('threshold', [0.3, 0.5, 0.7])
def test_complete_data_as_scikit_learn(threshold):
    truth, scores = random_labels(80, 4, missing=0)
    truth[:, 2] = 0  # never present: 0 / 0 counts as 0
    samples = multi_label(truth, scores)
    result = evaluate(MultilabelMetric(ALL, threshold=threshold), samples)
    expected = of_labels(truth, scores, threshold)
    assert result == pytest.approx({name: expected[name] for name in ALL})


@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.5, 0.7])
def test_a_score_of_the_threshold_is_predicted(threshold):
    samples = multi_label([[1]], torch.tensor([[threshold]], dtype=torch.float32))
    metric = MultilabelMetric(['macro_recall'], threshold=threshold)
    assert evaluate(metric, samples) == {'macro_recall': 1.0}


def test_label_that_is_never_known_does_not_count():
    samples = multi_label([[1, -1], [0, -1]], [[0.9, 0.9], [0.1, 0.9]])
    result = evaluate(MultilabelMetric(ALL, per_label=['f1']), samples)
    assert all(result[item] == 1.0 for item in ALL)
    assert result['f1/0'] == 1.0
    assert math.isnan(result['f1/1'])


def test_nothing_known_is_nan_with_one_warning(log):
    result = evaluate(MultilabelMetric(ALL), multi_label([[-1, -1]], [[0.5, 0.5]]))
    assert set(result) == set(ALL)
    assert all(math.isnan(value) for value in result.values())
    [record] = log.records
    assert 'MultilabelMetric: no label is known' in record.getMessage()


def test_diverged_model_is_nan():
    samples = multi_label([[1, 1], [0, 0]], [[0.9, NAN], [0.1, 0.2]])
    result = evaluate(MultilabelMetric(ALL, per_label=['f1']), samples)
    assert all(math.isnan(result[item]) for item in ALL)
    assert math.isnan(result['f1/1'])
    assert result['f1/0'] == 1.0


@given(
    truth=arrays(np.int8, (8, 2), elements=st.sampled_from([-1, 0, 1])),
    scores=arrays(np.float32, (8, 2), elements=st.sampled_from([0.2, 0.5, 0.8])),
    order=st.permutations(list(range(8))),
    masked=st.sets(st.integers(0, 7), max_size=7),
)
@settings(max_examples=30, deadline=None)
def test_masking_is_deleting_and_order_does_not_matter(truth, scores, order, masked):
    truth[list(masked)] = -1
    kept = [i for i in order if i not in masked]
    first = evaluate(MultilabelMetric(ALL), multi_label(truth, scores))
    second = evaluate(MultilabelMetric(ALL), multi_label(truth[kept], scores[kept]))
    assert first == pytest.approx(second, nan_ok=True)


def test_single_label_data_are_refused():
    samples = single_label([0], [[0.6, 0.4]])
    with pytest.raises(FFMMError, match=r'no gt_score; .*MulticlassMetric'):
        evaluate(MultilabelMetric(), samples)


def test_in_an_evaluator_from_a_config():
    samples = multi_label(*random_labels(30, 2, missing=0.2))
    evaluator = Evaluator(
        dict(type='mmpretrain.MultilabelMetric', per_label=['recall'])
    )
    evaluator.dataset_meta = dict(classes=('edema', 'mass'))
    evaluator.process(samples)
    result = evaluator.evaluate(30)
    assert json.loads(json.dumps(result)) == result
    names = ['macro_recall', 'macro_precision', 'macro_f1', 'macro_specificity']
    assert list(result) == [*names, 'recall/edema', 'recall/mass']
    assert METRICS.get('MultilabelMetric') is MultilabelMetric


@pytest.mark.parametrize(
    'wrong', [dict(items=['f1']), dict(items=[]), dict(per_label=['accuracy'])], ids=str
)
def test_wrong_names(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} must be some of'):
        MultilabelMetric(**wrong)
