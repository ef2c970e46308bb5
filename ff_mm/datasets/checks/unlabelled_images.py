"""Images without labels, compared with those that a run is judged by."""

from __future__ import annotations

import os
from collections.abc import Mapping

from mmengine.dataset import BaseDataset
from rich.console import Console

from ff_mm.datasets.checks.check import check_leaks
from ff_mm.datasets.checks.duplicates import find_duplicates, matches
from ff_mm.datasets.checks.inspection import (
    find_bad_images,
    look_at_images,
    read_all_labels,
)
from ff_mm.datasets.errors import Problems

#: What they are called.
NAME = 'unlabelled'
_REMEDY = (
    'Training would see what it is judged by: leave them out, by exclude or image_list '
    'of plan.unlabelled, or by another folder.'
)
# Images that are worth a process of their own.
_A_PROCESS = 64


def check_unlabelled_leaks(
    unlabelled: BaseDataset, judged: Mapping[str, BaseDataset]
) -> None:
    """Compares files, ids and groups (lesions, patients); no image is read.

    Args:
        unlabelled: The images without labels.
        judged: Those that are evaluated, by name.

    Raises:
        DatasetError: What they have in common.
    """
    problems = Problems('plan.unlabelled')
    check_leaks({NAME: unlabelled, **judged}, problems, NAME, _REMEDY)
    problems.raise_if_any()


def check_unlabelled_contents(
    unlabelled: BaseDataset,
    judged: Mapping[str, BaseDataset],
    console: Console | None = None,
) -> None:
    """Reads every image, and compares the decoded pixels.

    Args:
        unlabelled: The images without labels.
        judged: Those that are evaluated, by name.
        console: Where to show the progress; standard output by default.

    Raises:
        DatasetError: Images that cannot be read, or that have the content of one that
            is evaluated, under whatever name.
    """
    datasets = {NAME: unlabelled, **judged}
    problems = Problems('plan.unlabelled')
    entries, sets = read_all_labels(datasets)
    workers = min(os.cpu_count() or 1, len(entries) // _A_PROCESS)
    facts = look_at_images(datasets, entries, workers, True, console)
    for entry in entries:
        sets[entry.set_name].files[entry.key] = facts[entry.key]
    find_bad_images({NAME: sets[NAME]}, problems)
    duplicates = find_duplicates(entries, facts)
    for name in judged:
        problems.found(
            f'images of {name} with the content of an unlabelled one',
            matches(duplicates, NAME, name),
            _REMEDY,
        )
    problems.raise_if_any()
