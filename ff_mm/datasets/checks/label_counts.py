"""How many images of a data set are of each class, or have each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ff_mm.plain import MISSING


class LabelCounts:
    """Counts images by class, or by label where an image has several.

    Args:
        names: The classes, or the labels; may be empty if the data set names none.

    Attributes:
        images: Number of images.
        multi_label: Whether images have labels (``gt_score``, or a list of classes in
            ``gt_label``) rather than one class.
        positive: Images of each class; positives of each label, where a soft label of
            0.7 counts as 0.7.
        missing: For each label, the images of which it is not known.
        unlabelled: Images without ``gt_label`` and ``gt_score``.
        invalid: Names of images whose class does not exist, or whose scores are not one
            for each label, each from 0 to 1 or -1.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(map(str, names))
        self.images = 0
        self.multi_label = False
        self.positive = np.zeros(len(names))
        self.missing = np.zeros(len(names), dtype=int)
        self.unlabelled = 0
        self.invalid: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or labels; numbers where they have no names."""
        return self._names or tuple(map(str, range(len(self.positive))))

    @property
    def negative(self) -> np.ndarray:
        """Negatives of each label."""
        counted = self.images - self.unlabelled - len(self.invalid)
        return counted - self.missing - self.positive

    def add(self, info: Mapping[str, Any], name: str) -> np.ndarray | None:
        """Counts an image.

        Args:
            info: Its ``data_info``.
            name: What to call it.

        Returns:
            A score for each class or label; None if there is no valid label.
        """
        self.images += 1
        if 'gt_score' not in info and 'gt_label' not in info:
            self.unlabelled += 1
            return None
        scores = self._scores(info)
        if scores is None:
            self.invalid.append(name)
            return None
        self.positive += np.where(scores == MISSING, 0, scores)
        self.missing += scores == MISSING
        return scores

    def _scores(self, info: Mapping[str, Any]) -> np.ndarray | None:
        label = info.get('gt_score', info.get('gt_label'))
        self.multi_label |= 'gt_score' in info or np.ndim(label) > 0
        if 'gt_score' in info:
            scores = np.asarray(label, dtype=float).ravel()
            self._grow(len(scores))
            valid = (scores == MISSING) | ((scores >= 0) & (scores <= 1))
            return scores if len(scores) == len(self.positive) and valid.all() else None
        classes = np.atleast_1d(np.asarray(label, dtype=np.int64))
        self._grow(classes.max(initial=-1) + 1)
        if not ((classes >= 0) & (classes < len(self.positive))).all():
            return None
        scores = np.zeros(len(self.positive))
        scores[classes] = 1
        return scores

    def _grow(self, size: int) -> None:
        """Makes room for classes that have no names."""
        if not self._names and size > len(self.positive):
            more = size - len(self.positive)
            self.positive = np.pad(self.positive, (0, more))
            self.missing = np.pad(self.missing, (0, more))
