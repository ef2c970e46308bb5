"""Cases seen label by label, each label over the cases in which it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ff_mm.evaluation.metrics.base import Case
from ff_mm.plain import MISSING


@dataclass(frozen=True)
class Label:
    """One label, or one class against the rest, over the cases in which it is known.

    Attributes:
        name: Its name in the data set, or its number.
        truth: 1 present or 0 absent, int8 of shape (known cases,).
        scores: Predicted scores, float64 of shape (known cases,).
    """

    name: str
    truth: np.ndarray
    scores: np.ndarray

    @property
    def is_known(self) -> bool:
        """Whether it is known in any case."""
        return len(self.truth) > 0

    @property
    def has_both_classes(self) -> bool:
        """Whether it is present in a case and absent from another."""
        return len(np.unique(self.truth)) == 2

    @property
    def is_finite(self) -> bool:
        """Whether all scores are finite, as those of a diverged model are not."""
        return bool(np.isfinite(self.scores).all())


def labels_of(
    cases: Sequence[Case], dataset_meta: Mapping[str, Any] | None
) -> list[Label]:
    """Returns the labels of some cases.

    Args:
        cases: Of multi-label data; or of single-label data, where each class is a label
            of its own against the rest. Of two classes only the second is returned.
        dataset_meta: Meta information of the data set; ``classes`` names the labels.

    Returns:
        All labels in order, those that are known in no case included.
    """
    truth, scores = against_rest(*stack(cases))
    # Of two classes the first is left out.
    names = class_names(dataset_meta, len(cases[0][1]))[-truth.shape[1] :]
    known = truth != MISSING
    return [
        Label(name, truth[known[:, i], i], scores[known[:, i], i])
        for i, name in enumerate(names)
    ]


def stack(cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Returns truth and scores of all cases.

    Returns:
        The truth: class numbers of shape (cases,), or int8 of shape (cases, labels).
        The scores: float64 of shape (cases, classes or labels).
    """
    truth, scores = zip(*cases, strict=True)
    return np.stack(truth), np.stack(scores).astype(np.float64)


def known_elements(cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Returns truth and scores of what is known.

    Returns:
        Of multi-label data truth and scores of all known elements, of shape (known,);
        of single-label data what :func:`stack` gives.
    """
    truth, scores = stack(cases)
    known = truth != MISSING
    return truth[known], scores[known]


def against_rest(
    truth: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns truth and scores with each class of single-label data as a label.

    Args:
        truth: As :func:`stack` gives it.
        scores: As :func:`stack` gives it.

    Returns:
        Truth (int8) and scores of shape (cases, labels). Multi-label data come back as
        they are. Of two classes there is only the second, as the first says the same.
    """
    if truth.ndim == 2:
        return truth, scores
    number = scores.shape[1]
    truth = np.eye(number, dtype=np.int8)[truth]
    return (truth[:, 1:], scores[:, 1:]) if number == 2 else (truth, scores)


def class_names(dataset_meta: Mapping[str, Any] | None, number: int) -> list[str]:
    """Returns the names of the first classes or labels of a data set.

    Args:
        dataset_meta: Meta information of the data set, with ``classes`` or without.
        number: How many names to return.

    Returns:
        The names. Where the data set has none it is the number, from 0.
    """
    classes = (dataset_meta or {}).get('classes') or ()
    return [str(classes[i]) if i < len(classes) else str(i) for i in range(number)]


def number_of(
    label: str, dataset_meta: Mapping[str, Any] | None, number: int
) -> int | None:
    """Returns the number of the label of a name; None if it is not that of just one.

    Args:
        label: The name.
        dataset_meta: As for :func:`class_names`.
        number: How many labels there are.
    """
    names = class_names(dataset_meta, number)
    return names.index(label) if names.count(label) == 1 else None


def has_both_classes(truth: np.ndarray) -> np.ndarray:
    """Returns which labels are present in a case and absent from another.

    Args:
        truth: As :func:`stack` gives it. Of single-label data each class that occurs is
            a label against the rest.

    Returns:
        Bool of shape (labels,).
    """
    if truth.ndim == 1:
        truth = truth[:, None] == np.unique(truth)
    return (truth == 1).any(axis=0) & (truth == 0).any(axis=0)


def mean(values: Sequence[float]) -> float:
    """Returns the mean, NaN of no values or if one of them is NaN."""
    return float(np.mean(values)) if len(values) else float('nan')
