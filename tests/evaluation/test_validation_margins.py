from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ff_mm.errors import ConfigError
from ff_mm.evaluation.early_exit import Selection
from ff_mm.evaluation.predictions import Predictions
from ff_mm.evaluation.resampling import Resampling, agreement
from ff_mm.evaluation.validation_margins import ValidationMargins

METRICS = [
    dict(type='MulticlassMetric', items=['macro_recall'], per_class=['recall']),
    dict(type='ValidationLoss'),
]
CASES = 60


def said(seed, groups=None):
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(7).integers(3, size=CASES)
    logits = random.normal(size=(CASES, 3)) + 1.5 * np.eye(3)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(scores, truth, tuple(map(str, range(CASES))), groups)


def margins(metric, rule):
    candidates = SimpleNamespace(
        selection=Selection(metric, rule),
        evaluator=SimpleNamespace(
            metrics=lambda split: METRICS, dataset_meta=dict(classes=('x', 'y', 'z'))
        ),
    )
    # What a model is called is what it says.
    return ValidationMargins(candidates, SimpleNamespace(said_by=lambda models: models))


def by_hand(new, old, metric):
    better = []
    for counts in Resampling(old, 1000, 0).batches():
        for times in counts.astype(int):
            truth = np.repeat(old.truth, times)

            def value(model, truth=truth, times=times):
                scores = np.repeat(model.scores, times, axis=0).astype(float)
                if metric == 'loss':
                    return np.log(scores[np.arange(len(truth)), truth]).mean()
                right = scores.argmax(1) == truth
                return np.mean([right[truth == c].mean() for c in range(3)])

            better.append(value(new) > value(old))
    return np.mean(better)


@pytest.mark.parametrize(
    ('metric', 'rule'), [('macro_recall', 'greater'), ('loss', 'less')]
)
@pytest.mark.parametrize('groups', [None, np.arange(CASES) // 4], ids=['no', 'groups'])
def test_the_part_is_that_of_paired_resamples_by_group(metric, rule, groups):
    new, old = said(1, groups), said(2, groups)
    found = margins(metric, rule).agreement(new, old)
    assert 0 < found < 1
    assert found == pytest.approx(by_hand(new, old, metric), abs=2e-3)


def test_a_model_is_not_better_than_itself_and_the_truth_is_better_than_any():
    one, right = said(1), said(1)
    object.__setattr__(right, 'scores', np.eye(3, dtype=np.float32)[right.truth])
    judge = margins('macro_recall', 'greater').agreement
    assert judge(one, one) == 0
    assert judge(right, one) == 1 and judge(one, right) == 0


def test_the_groups_are_drawn_as_a_whole():
    """A gain in cases of a single patient says little, in as many patients much."""
    gain = np.zeros(CASES)
    gain[:12] = 1
    together = np.where(np.arange(CASES) < 12, 0, np.arange(CASES))
    alone = agreement(said(1), lambda counts: counts @ gain)
    by_group = agreement(said(1, together), lambda counts: counts @ gain)
    assert alone == 1 and by_group == pytest.approx(1 - np.exp(-1), abs=0.06)


def test_a_metric_of_a_single_class_cannot_be_resampled():
    with pytest.raises(ConfigError, match=r"soup\.accept: .*'recall/x' cannot be"):
        margins('recall/x', 'greater').agreement(said(1), said(2))
