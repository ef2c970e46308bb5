"""Subsets of MMEngine's data sets that know nothing of earlier ones.

``BaseDataset.get_subset``, which ``KFoldDataset`` uses, deep-copies with a memo that is
a default argument: it outlives the call, so a later copy can be given objects of
another data set whose address was the same. With many runs in one process that happens.
"""

from __future__ import annotations

from typing import Any

from mmengine.dataset import BaseDataset

_copy = BaseDataset._copy_without_annotation


def copy_without_annotation(
    self: BaseDataset, memo: dict[int, Any] | None = None
) -> BaseDataset:
    """Copies all but the annotations, as MMEngine does, with a memo of its own."""
    return _copy(self, {} if memo is None else memo)


BaseDataset._copy_without_annotation = copy_without_annotation
