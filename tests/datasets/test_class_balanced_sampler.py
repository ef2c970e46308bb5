from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from toys import OnlyInfos

from ff_mm.datasets import ClassBalancedSampler, class_balanced_sampler
from ff_mm.errors import ConfigError

SIZES = {0: 600, 1: 60, 2: 6}


def labels(values):
    return OnlyInfos([dict(gt_label=value) for value in values])


UNEQUAL = labels(np.repeat(list(SIZES), list(SIZES.values())).tolist())


def drawn(epoch=0, **options):
    sampler = ClassBalancedSampler(UNEQUAL, **dict(dict(seed=3), **options))
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


def by_class(indices):
    counts = Counter(UNEQUAL.get_data_info(i)['gt_label'] for i in indices)
    return np.array([counts[c] for c in SIZES]) / len(indices)


@pytest.mark.parametrize(
    ('power', 'expected'),
    [(1.0, [1 / 3] * 3), (0.5, [0.706, 0.223, 0.071]), (0.0, [0.901, 0.09, 0.009])],
)
def test_classes_come_by_their_frequency_to_a_power(power, expected):
    found = [i for epoch in range(20) for i in drawn(epoch, power=power)]
    # Of 13320 draws; a standard error is 0.004.
    assert by_class(found) == pytest.approx(expected, abs=0.015)


def test_seed_and_epoch_alone_decide_what_is_drawn():
    assert drawn(2) == drawn(2)
    assert drawn(2) != drawn(3) and drawn(2) != drawn(2, seed=4)
    again = ClassBalancedSampler(UNEQUAL, seed=3)
    list(again)  # an epoch before, as in a run that was not interrupted
    again.set_epoch(2)
    assert list(again) == drawn(2)


def test_processes_share_one_draw(monkeypatch):
    whole = drawn(1)
    parts = []
    for rank in range(4):
        monkeypatch.setattr(
            'mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 4)
        )
        parts.append(drawn(1))
    assert [len(part) for part in parts] == [167] * 4  # 666, rounded up
    together = [i for row in zip(*parts, strict=True) for i in row]
    assert together[: len(whole)] == whole


@pytest.mark.parametrize(
    'infos',
    [
        [dict(gt_score=np.array([1, 0]))] * 3,
        [dict(gt_label=[0, 1])] * 3,
        [dict(gt_label=0), dict()],
    ],
    ids=['scores', 'several', 'none'],
)
def test_labels_that_are_no_single_class_are_one_line(infos):
    with pytest.raises(ConfigError, match="take class_balance='loss'") as error:
        ClassBalancedSampler(OnlyInfos(infos), seed=0)
    assert '\n' not in str(error.value)


def test_frequencies_are_those_of_the_decision(monkeypatch):
    seen = []
    monkeypatch.setattr(
        class_balanced_sampler,
        'class_frequencies',
        lambda counts, *_: seen.append(counts.positive.tolist()) or [0.5, 0.3, 0.2],
    )
    weights = ClassBalancedSampler(UNEQUAL, seed=0).weights
    assert seen == [[600, 60, 6]]
    assert weights[[0, 600, 660]].tolist() == pytest.approx([2, 1 / 0.3, 5])
