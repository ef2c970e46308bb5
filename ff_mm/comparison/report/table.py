"""A table as all formats share it: what is in its cells, not how they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says, for numbers the value.
        detail: What follows in smaller type, such as an interval.
        best: Whether it is the best of its column.
        marked: Whether it differs from the baseline (p < 0.05).
        spread: What goes with the value, such as ``'± 0.012'``.
    """

    text: str
    detail: str = ''
    best: bool = False
    marked: bool = False
    spread: str = ''


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        key: A short name, for anchors and labels.
        caption: What it shows, a sentence without full stop.
        columns: Headings. The first ``names`` columns are text, the others numbers.
        rows: As many cells as there are columns in each.
        notes: What a reader must know, a sentence each.
        names: How many columns name the row.
    """

    key: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default=())
    names: int = 1

    @property
    def alignments(self) -> list[str]:
        """``'left'`` or ``'right'`` for each column."""
        numbers = len(self.columns) - self.names
        return ['left'] * self.names + ['right'] * numbers
