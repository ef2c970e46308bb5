"""Parts of the cases by group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ff_mm.errors import ConfigError
from ff_mm.evaluation.decisions.decision import Outputs

FOLDS = 5


def folds(outputs: Outputs) -> Iterator[np.ndarray]:
    """Deals the cases out in parts of whole groups, each of them once.

    Classes are spread evenly; the same cases are dealt in the same way.

    Args:
        outputs: Of the cases.

    Yields:
        Masks over the cases.

    Raises:
        ConfigError: All cases are one group.
    """
    group_of = outputs.group_of
    first = np.unique(group_of, return_index=True)[1]
    if len(first) < 2:
        raise ConfigError(
            'soup.decision: validation has too few groups (patients, lesions) to try '
            'it on others than it is fitted on: leave it out'
        )
    rows = outputs.truth[first].reshape(len(first), -1)
    kinds = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    shuffled = np.random.default_rng(0).permutation(len(first))
    in_turn = shuffled[np.argsort(kinds[shuffled], kind='stable')]
    number = min(FOLDS, len(first))
    fold_of_group = np.empty(len(first), int)
    fold_of_group[in_turn] = np.arange(len(first)) % number
    for fold in range(number):
        yield fold_of_group[group_of] == fold
