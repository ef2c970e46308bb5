"""What the user's own data sets have in common: classes not known beforehand."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from ff_mm.datasets.errors import Problems, as_names
from ff_mm.datasets.files.image_paths import is_excluded
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.table_file import plain
from ff_mm.datasets.tables.table_labels import (
    how_alike,
    join_alike,
    note_slips,
    settle_classes,
    spelled_alike,
)
from ff_mm.errors import ConfigError


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

    def groups_by_pattern(
        self,
        pattern: re.Pattern[str] | None,
        names: Sequence[str],
        paths: Sequence[str],
        where: str,
        problems: Problems,
    ) -> Sequence[str | None]:
        """Gives the group of each image, by what a pattern finds in its name.

        Args:
            pattern: That of ``group_pattern``; None: no groups.
            names: In which it is looked for.
            paths: The images, for messages.
            where: What the names are, likewise.
            problems: Takes a note of what it does not find.
        """
        if pattern is None:
            return [None] * len(names)
        found = [pattern.search(name) for name in names]
        problems.found(
            'images whose group group_pattern does not find',
            [path for path, match in zip(paths, found, strict=True) if not match],
            f'{pattern.pattern!r} must match {where}.',
        )
        groups = [match and found_by(match) for match in found]
        self.check_groups(groups, f'the paths of {self.img_prefix!r}', problems)
        return groups

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
        if self.CLASSES is None:
            self.notes += note_slips(found, source)
        self._metainfo['classes'] = tuple(classes)
        return {name: number for number, name in enumerate(classes)}


def compile_pattern(key: str, text: str | None) -> re.Pattern[str] | None:
    """Reads a regular expression of a config.

    Raises:
        ConfigError: It is none.
    """
    try:
        return re.compile(text) if text else None
    except (re.error, TypeError) as error:
        raise ConfigError(f'{key}={text!r}: {error}') from None


def found_by(match: re.Match[str]) -> str:
    """Gives what is in parentheses, or else all that an expression matches."""
    return '/'.join(match.groups('')) or match[0]
