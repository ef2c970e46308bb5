from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from many_processes import make
from mmengine.evaluator import BaseMetric
from scored_samples import multi_label, single_label

from ff_mm.evaluation import (
    AUROC,
    CalibrationMetric,
    MeanAveragePrecision,
    MulticlassMetric,
    MultilabelMetric,
    ValidationLoss,
)

LABELS = [0, 1, 2, 0, 1]
TRUTH = [[1, 0, -1], [0, 1, 1], [1, -1, -1], [0, 0, 1], [-1, 1, 0]]
BOTH_KINDS = (AUROC, CalibrationMetric, MeanAveragePrecision, ValidationLoss)


def evaluate(indices: list[int]) -> dict:
    scores = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    classes = single_label([LABELS[i] for i in indices], scores[indices])
    labels = multi_label([TRUTH[i] for i in indices], scores[indices])
    results = {}
    for metric in (*BOTH_KINDS, MulticlassMetric):
        results.update(run(metric(prefix='classes'), classes))
    for metric in (*BOTH_KINDS, MultilabelMetric):
        results.update(run(metric(prefix='labels'), labels))
    soft = dict(prefix='soft', items=['soft_macro_f1', 'macro_f1'])
    results.update(run(MulticlassMetric(**soft), classes))
    return results


def run(metric: BaseMetric, samples: list[dict]) -> dict:
    metric.process(None, samples)
    return metric.evaluate(len(LABELS))


def work() -> dict:
    dist.init_process_group('gloo')
    # As DefaultSampler deals five cases to two ranks: the first is repeated.
    return evaluate([[0, 2, 4], [1, 3, 0]][dist.get_rank()])


def test_two_ranks_give_what_one_gives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = make(2, work)
    assert first == second == pytest.approx(evaluate([0, 1, 2, 3, 4]))
