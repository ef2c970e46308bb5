"""Cutting cases into train, val and test: seeded, stratified, groups kept together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)

SPLITS = ('train', 'val', 'test')


def assign_splits(
    labels: Sequence[Hashable],
    groups: Sequence[str | None],
    shares: Sequence[int],
    seed: int,
) -> np.ndarray:
    """Gives every case a split.

    Where no two cases share a group, scikit-learn's ``train_test_split`` cuts twice,
    train from the rest and then val from test: 8:1:1 of APTOS's 3,662 images are the
    published 2,929, 366 and 367. Where cases share groups, its
    ``StratifiedGroupKFold`` makes as many folds as there are shares, and train, val and
    test take theirs.

    Args:
        labels: What to stratify by: a class, or all labels of a case as a tuple.
        groups: What must not be cut apart (patient, lesion); None: the case alone.
        shares: Of train, val and test, as whole numbers such as 8, 1, 1 or 70, 15, 15.
        seed: Of the shuffling.

    Returns:
        ``'train'``, ``'val'`` or ``'test'`` for every case: array of str, read-only,
        shape (number of cases,).

    Raises:
        ValueError: By scikit-learn, if there are too few cases or groups.
    """
    divisor = math.gcd(*shares)
    return _assign(
        tuple(labels), tuple(groups), tuple(s // divisor for s in shares), seed
    )


# scikit-learn takes 1.6 s for HAM10000's 10,015 images; all splits share the result.
@lru_cache(maxsize=8)
def _assign(
    labels: tuple[Hashable, ...],
    groups: tuple[str | None, ...],
    shares: tuple[int, ...],
    seed: int,
) -> np.ndarray:
    known = [group for group in groups if group is not None]
    strata = np.unique([repr(label) for label in labels], return_inverse=True)[1]
    if len(set(known)) == len(known):
        splits = _cut_images(strata, shares, seed)
    else:
        splits = _cut_groups(strata, groups, shares, seed)
    splits.setflags(write=False)
    return splits


def _cut_images(strata: np.ndarray, shares: Sequence[int], seed: int) -> np.ndarray:
    splits = np.full(len(strata), 'train', dtype='<U5')
    train, val, test = shares
    rest = np.arange(len(strata))
    if train:
        share = (val + test) / sum(shares)
        rest = _part(strata, rest, share, seed) if share else rest[:0]
    splits[rest] = 'val'
    if test:
        share = test / (val + test)
        splits[_part(strata, rest, share, seed) if val else rest] = 'test'
    return splits


def _part(strata: np.ndarray, cases: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draws a share of some cases."""
    merged = _merge_single(strata[cases])
    return train_test_split(cases, test_size=share, stratify=merged, random_state=seed)[
        1
    ]


def _merge_single(strata: np.ndarray) -> np.ndarray:
    """Puts strata of one case together, as scikit-learn refuses them."""
    counts = np.bincount(strata)
    single = counts[strata] == 1
    # One alone has no company but the largest.
    other = strata.max() + 1 if single.sum() > 1 else counts.argmax()
    return np.where(single, other, strata)


def _cut_groups(
    strata: np.ndarray, groups: Sequence[str | None], shares: Sequence[int], seed: int
) -> np.ndarray:
    if sum(shares) == 1:  # all in one split, of which scikit-learn makes no fold
        return np.repeat(np.repeat(SPLITS, shares), len(strata))
    names = [f'case {i}' if g is None else f'group {g}' for i, g in enumerate(groups)]
    return np.repeat(SPLITS, shares)[_cut_folds(strata, names, sum(shares), seed)]


def _cut_folds(
    strata: np.ndarray, names: Sequence[Hashable], number: int, seed: int
) -> np.ndarray:
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    return _folds_of(splitter, strata, names)


def _folds_of(
    splitter: Any, strata: np.ndarray, names: Sequence[Hashable] | None = None
) -> np.ndarray:
    """Numbers the parts of a cross-validation, for each case the one that tests it."""
    folds = np.empty(len(strata), dtype=np.int64)
    with warnings.catch_warnings():
        # Of a class with fewer cases than folds; the counts are printed anyway.
        warnings.filterwarnings('ignore', message='The least populated class')
        parts = splitter.split(np.zeros(len(strata)), strata, names)
        for fold, (_, members) in enumerate(parts):
            folds[members] = fold
    return folds


def assign_folds(
    labels: Sequence[Hashable], groups: Sequence[Hashable], number: int, seed: int = 0
) -> np.ndarray:
    """Gives every case a fold; those of a group are in one.

    Args:
        labels: What to stratify by; those that are rarer than folds count as one.
        groups: What must not be cut apart, such as the number of a patient.
        number: How many folds there are.
        seed: Of the shuffling.

    Returns:
        Numbers from 0, of shape (number of cases,).

    Raises:
        ValueError: There are fewer groups than folds.
    """
    if len(set(groups)) < number:
        raise ValueError(f'there are {len(set(groups))} groups')
    return _cut_folds(_common_strata(labels, number), groups, number, seed)


def _common_strata(labels: Sequence[Hashable], number: int) -> np.ndarray:
    """Numbers labels; those that are rarer than folds are one stratum."""
    strata = np.unique([repr(label) for label in labels], return_inverse=True)[1]
    strata[np.bincount(strata)[strata] < number] = strata.max() + 1
    return strata


# Each trial of a plan with folds builds its data sets anew.
@lru_cache(maxsize=8)
def cut_into_folds(
    labels: tuple[Hashable, ...],
    groups: tuple[Hashable, ...] | None,
    number: int,
    seed: int,
) -> np.ndarray:
    """Gives every case of a cross-validation a fold.

    As :func:`assign_folds`; cases without groups are cut by scikit-learn's
    ``StratifiedKFold``, which takes no time for many.

    Args:
        labels: What to stratify by; those that are rarer than folds count as one.
        groups: What must not be cut apart; None: each case is alone.
        number: How many folds there are.
        seed: Of the shuffling.

    Returns:
        Numbers from 0, of shape (number of cases,), read-only.

    Raises:
        ValueError: There are fewer groups, or cases, than folds.
    """
    if groups is not None:
        folds = assign_folds(labels, groups, number, seed)
    elif len(labels) < number:
        raise ValueError(f'there are {len(labels)} cases')
    else:
        strata = _common_strata(labels, number)
        splitter = StratifiedKFold(number, shuffle=True, random_state=seed)
        folds = _folds_of(splitter, strata)
    folds.setflags(write=False)
    return folds


def check_shares(shares: Sequence[int]) -> tuple[int, ...]:
    """Checks the shares of train, val and test.

    Raises:
        ValueError: They are not three whole numbers, or one is negative, or all are 0.
    """
    whole = all(isinstance(share, int) and share >= 0 for share in shares)
    if len(shares) != 3 or not whole or not any(shares):
        raise ValueError(
            'shares must be three whole numbers, of train, val and test, such as '
            f'(8, 1, 1), got {shares!r}'
        )
    return tuple(shares)
