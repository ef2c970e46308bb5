"""What official tables had in them when they were published."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Published(NamedTuple):
    """What a table had in it when it was published.

    Attributes:
        rows: How many.
        classes: Class -> its images, where they are known.
        cells: What its columns of labels have in them, where that is known; ``''`` is
            the empty cell.
    """

    rows: int
    classes: Mapping[str, int] = MappingProxyType({})
    cells: tuple[str, ...] = ()

    @classmethod
    def of(cls, classes: Sequence[str], *counts: int) -> Published:
        """One row an image, and the images of each class, in order."""
        return cls(sum(counts), dict(zip(classes, counts, strict=True)))


def how_edited(
    path: str,
    published: Mapping[str, Published],
    rows: int,
    classes: Iterable[str] = (),
    cells: Iterable[str] = (),
) -> list[str]:
    """Says where a table differs from the published one of its name.

    Args:
        path: The table.
        published: Name of a table -> what it had in it.
        rows: How many it has.
        classes: The class of each image, where these are to be compared, too.
        cells: What its columns of labels have in them, where that is to be compared.

    Returns:
        One note, or none.
    """
    official = published.get(os.path.basename(path).removesuffix('.gz'))
    if official is None:
        return []
    counts, found = Counter(classes), set(cells)
    differing = [
        f'{name} {counts[name]:,} ({count:,})'
        for name, count in official.classes.items()
        if counts and counts[name] != count
    ]
    lost = [c or 'empty' for c in official.cells if found and c not in found]
    if rows == official.rows and not differing and not lost:
        return []
    text = f'{path!r} has {rows:,} rows, {official.rows:,} were published'
    if differing:
        text += f'; images (published): {", ".join(differing)}'
    if lost:
        text += f'; no label is {" or ".join(lost)}, of the published ones some are'
    return [f'{text}. If it should be the official table, download it again.']
