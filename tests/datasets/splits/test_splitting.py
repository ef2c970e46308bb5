from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_mm.datasets.splits.splitting import (
    assign_folds,
    assign_splits,
    check_shares,
)


def sizes(splits: np.ndarray) -> list[int]:
    counts = Counter(splits.tolist())
    return [counts[split] for split in ('train', 'val', 'test')]


class TestPublishedCounts:
    """METHOD.md, section 7: what follows from the logic of the split alone."""

    def test_aptos(self):
        grades = np.repeat(range(5), [1805, 370, 999, 193, 295])
        splits = assign_splits(grades, [None] * 3662, (8, 1, 1), seed=0)
        assert sizes(splits) == [2929, 366, 367]
        share = Counter(grades[splits == 'train'])
        assert [share[i] for i in range(5)] == [1444, 296, 799, 154, 236]

    def test_eyepacs_by_image(self):
        grades = np.repeat(range(5), [65343, 6205, 13153, 2087, 1914])
        splits = assign_splits(grades, [None] * 88702, (80, 10, 10), seed=3)
        assert sizes(splits) == [70961, 8870, 8871]

    def test_cifar(self):
        splits = assign_splits(np.repeat(range(10), 5000), [None] * 50000, (9, 1, 0), 0)
        assert sizes(splits) == [45000, 5000, 0]


@pytest.mark.parametrize(
    ('shares', 'expected'),
    [
        ((3, 1, 1), [60, 20, 20]),
        ((0, 1, 1), [0, 50, 50]),
        ((0, 0, 1), [0, 0, 100]),
        ((1, 0, 0), [100, 0, 0]),
        ((4, 0, 1), [80, 0, 20]),
        ((70, 20, 10), [70, 20, 10]),
    ],
)
@pytest.mark.parametrize('grouped', [False, True])
def test_shares(shares, expected, grouped):
    groups = [i // 2 if grouped else None for i in range(100)]
    labels = [i // 2 % 2 for i in range(100)]
    assert sizes(assign_splits(labels, groups, shares, seed=0)) == expected


@given(
    groups=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=12, max_size=60
    ),
    seed=st.integers(0, 100),
)
@settings(max_examples=25, deadline=None)
def test_a_group_is_never_cut(groups, seed):
    labels = [label for label, images in groups for _ in range(images)]
    names = [str(i) for i, (_, images) in enumerate(groups) for _ in range(images)]
    if max(Counter(labels).values()) < 5:
        return
    splits = assign_splits(labels, names, (3, 1, 1), seed)
    assert set(splits) == {'train', 'val', 'test'}
    sides = set(zip(names, splits.tolist(), strict=True))
    assert len(sides) == len(groups)


def test_seed_decides():
    labels, groups = [0, 1] * 50, [None] * 100
    first, again, other = (
        assign_splits(labels, groups, (8, 1, 1), seed).tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_cases_without_a_group_are_on_their_own():
    groups = ['a', 'a', 'b', 'b'] * 10 + [None] * 60
    splits = assign_splits([0] * 100, groups, (8, 1, 1), seed=0)
    assert len(set(splits[40:])) == 3


def test_sets_of_labels_of_which_there_is_one():
    labels = [(1.0, 0.0)] * 30 + [(0.0, 1.0)] * 20 + [(1.0, 1.0), (0.0, -1.0)]
    assert sum(sizes(assign_splits(labels, [None] * 52, (8, 1, 1), 0))) == 52
    assert sum(sizes(assign_splits(labels[:51], [None] * 51, (8, 1, 1), 0))) == 51


@pytest.mark.parametrize('shares', [(9, 1), (8, 1, -1), (0.8, 0.1, 0.1), (0, 0, 0)])
def test_bad_shares(shares):
    with pytest.raises(ValueError, match='three whole numbers'):
        check_shares(shares)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_folds_keep_groups_together_and_none_is_empty(seed, number):
    draw = np.random.default_rng(seed)
    groups = draw.integers(12, size=40).tolist() + list(range(12))
    labels = [str(row) for row in draw.integers(2, size=(52, 4))]  # many sets of one
    folds = assign_folds(labels, groups, number)
    assert set(folds) == set(range(number))
    assert all(
        len({f for f, g in zip(folds, groups, strict=True) if g == group}) == 1
        for group in set(groups)
    )
    assert folds.tolist() == assign_folds(labels, groups, number).tolist()


def test_fewer_groups_than_folds():
    with pytest.raises(ValueError, match='there are 2 groups'):
        assign_folds('aabb', [0, 0, 1, 1], 3)
