"""What tells the cases of a data set apart, and which of them belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

from ff_mm.datasets.checks.truth import data_infos


def cases_of(dataset: Any) -> tuple[list[str], np.ndarray | None]:
    """Returns ids of the cases of a data set, and numbers of their groups.

    Args:
        dataset: Its data infos may have ``image_id``, ``img_path`` and ``group``. A
            case without a group, among others that have one, is a group by itself.

    Returns:
        Ids, and int64 of shape (cases,); None if no group is known.
    """
    infos = list(data_infos(dataset))
    ids = [
        str(info.get('image_id') or info.get('img_path') or index)
        for index, info in enumerate(infos)
    ]
    groups = [info.get('group') for info in infos]
    if all(group is None for group in groups):
        return ids, None
    # A number cannot be equal to the name of a group.
    known = [i if g is None else str(g) for i, g in enumerate(groups)]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(known))}
    return ids, np.array([numbers[group] for group in known])
