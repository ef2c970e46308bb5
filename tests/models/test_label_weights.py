from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from ff_mm.datasets import DatasetError
from ff_mm.models.label_weights import (
    balanced_pos_weights,
    check_scores,
    count_labels,
    rarity_weights,
)

# Positives 3, 1, 0 and 1.5; negatives 1, 1, 2 and 0.5.
SCORES = torch.tensor(
    [
        [1, 1, 0, 1.0],
        [1, -1, 0, 0.5],
        [1, 0, -1, -1],
        [0, -1, -1, -1],
    ]
)


def test_only_known_labels_are_counted_and_soft_ones_in_part():
    positives, negatives = count_labels(SCORES)
    assert positives.tolist() == [3, 1, 0, 1.5]
    assert negatives.tolist() == [1, 1, 2, 0.5]


def test_rarity_weights_by_hand():
    # mean 5.5 / 4 = 1.375; largest 3 - 0 + 1.375 = 4.375
    expected = [1.375 / 4.375, 3.375 / 4.375, 1.0, 2.875 / 4.375]
    assert rarity_weights(SCORES).tolist() == pytest.approx(expected)


def test_rarity_weights_are_those_of_the_authors_code():
    labels = torch.randint(-1, 2, (50, 13), generator=torch.Generator().manual_seed(0))
    # Their labels are NaN where missing, and their code says:
    weights = np.nansum(np.where(labels == -1, np.nan, labels), axis=0)
    weights = weights.max() - weights + weights.mean()
    weights = weights / weights.max()
    assert rarity_weights(labels.float()).tolist() == pytest.approx(weights.tolist())


def test_equally_rare_labels_weigh_the_same():
    assert rarity_weights(torch.eye(3)).tolist() == [1, 1, 1]
    assert rarity_weights(torch.zeros(4, 3)).tolist() == [1, 1, 1]
    assert rarity_weights(torch.full((4, 3), -1.0)).tolist() == [1, 1, 1]


def test_balanced_pos_weights_by_hand():
    # The third label has no positives.
    expected = [1 / 3, 1, 1, 0.5 / 1.5]
    assert balanced_pos_weights(SCORES).tolist() == pytest.approx(expected)


def test_balanced_pos_weights_are_scikit_learns_up_to_a_factor():
    labels = torch.tensor([1, 0, 0, 0, 1, 0, 0, -1.0])
    known = labels[labels != -1].numpy()
    negative, positive = compute_class_weight(
        'balanced', classes=np.array([0, 1]), y=known
    )
    (weight,) = balanced_pos_weights(labels[:, None]).tolist()
    assert weight == pytest.approx(positive / negative)


@pytest.mark.parametrize('value', [1, 0, -1])
def test_labels_without_both_classes_have_pos_weight_1(value):
    assert balanced_pos_weights(torch.full((3, 1), float(value))).tolist() == [1]


@pytest.mark.parametrize('value', [2, -2, 1.01, float('nan'), float('inf')])
def test_what_is_no_label_is_refused_by_name(value):
    scores = SCORES.clone()
    check_scores(scores)
    scores[2, 1] = value
    with pytest.raises(
        DatasetError, match=rf'^c\.png: gt_score\[1\] is {value:g}, exp'
    ):
        check_scores(scores, ['a.png', 'b.png', 'c.png', 'd.png'])
    with pytest.raises(DatasetError, match=r'^image 2 of the batch: '):
        check_scores(scores)


def test_a_label_mixed_with_a_missing_one_points_to_mixup():
    with pytest.raises(DatasetError, match='remove batch_augments'):
        check_scores(torch.tensor([[-0.3]]))
