"""What the user's own data sets have in common: classes not known beforehand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ff_mm.datasets.errors import Problems, as_names
from ff_mm.datasets.files.image_paths import is_excluded
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.table_file import plain
from ff_mm.datasets.tables.table_labels import (
    how_alike,
    join_alike,
    settle_classes,
    spelled_alike,
)


class OwnDataset(SplitDataset):
    """Base of data sets whose classes are named in the config, or found in the data.

    Args:
        *args: Those of :class:`SplitDataset`.
        classes: All classes in the order of their numbers, or the path of a text file
            with one a line. None: those that are found.
        exclude: Patterns of files and folders to leave out, such as ``'*_mask.png'`` or
            ``'masks'``; each must match something.
        **kwargs: Those of :class:`SplitDataset`.
    """

    CUTS_VAL = True

    def __init__(
        self,
        *args: Any,
        classes: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.exclude = as_names(exclude or ())
        if classes is not None and not isinstance(classes, str):
            classes = [plain(name) for name in classes]
        super().__init__(*args, classes=classes, **kwargs)

    @property
    def origin(self) -> str:
        """Where ids and groups are from: patient 1 of another folder is another."""
        return os.path.abspath(self.data_root)

    def check_exclude(self, excluded: Sequence[str], problems: Problems) -> None:
        """Notes patterns that leave nothing out, which are mostly misspelled.

        Args:
            excluded: What was left out.
            problems: Takes the note.
        """
        problems.found(
            'patterns of exclude that match nothing',
            [p for p in self.exclude if not any(is_excluded(x, [p]) for x in excluded)],
            "A pattern is as '*_mask.png' or, for a whole folder, 'masks'.",
        )

    def check_groups(
        self, groups: Sequence[str | None], source: str, problems: Problems
    ) -> None:
        """Notes groups that a split would cut apart since they are spelled twice.

        Args:
            groups: Of all cases.
            source: Where they are from, for the message.
            problems: Takes the note.
        """
        same = spelled_alike(sorted({group for group in groups if group is not None}))
        problems.found(
            f'groups in {source} that differ only in {how_alike(same)}',
            [join_alike(names) for names in same],
            'Write each in one way; where they are not the same patient or lesion, '
            'rename one.',
        )

    def number_classes(
        self,
        found: Sequence[str],
        places: Sequence[str],
        source: str,
        problems: Problems,
    ) -> dict[str, int]:
        """Gives the number of each class; settles first which classes there are.

        Arguments are those of :func:`settle_classes`.
        """
        classes = settle_classes(self.CLASSES, found, places, source, problems)
        self._metainfo['classes'] = tuple(classes)
        return {name: number for number, name in enumerate(classes)}
