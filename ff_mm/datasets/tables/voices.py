"""Making one case of several rows of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.tables.several_rows import put_together
from ff_mm.datasets.tables.table_description import TableDescription
from ff_mm.datasets.tables.table_file import Row, is_empty, plain
from ff_mm.plain import MISSING, first_few


class Voices:
    """Puts together what the rows of an image say, and counts what it does.

    Args:
        table: With ``several_rows``.
        source: The table, for messages.
        classes: All in order, where the user has named them; else None.

    Attributes:
        notes: How many images have several rows, and of how many these differ.
    """

    def __init__(
        self, table: TableDescription, source: str, classes: Sequence[str] | None
    ) -> None:
        self.table = table
        self.source = source
        self.classes = classes
        self.notes: list[str] = []

    def cases(
        self,
        by_image: Mapping[str, Sequence[Case]],
        rows: Mapping[str, Sequence[Row]],
        problems: Problems,
    ) -> list[Case]:
        """Makes one case of those of each image.

        Args:
            by_image: The case of each row, by image.
            rows: The rows, by image.
            problems: Takes a note of images of which it cannot be made.
        """
        several = {i: cases for i, cases in by_image.items() if len(cases) > 1}
        self._check_alike(several, 'group', problems)
        self._check_alike(several, 'split', problems)
        differing = [i for i, cases in several.items() if _differ(cases, 'label')]
        self._check_order(differing, by_image, problems)
        raters = self._raters(several, rows, problems)
        labels = {
            i: put_together(
                [case.label for case in several[i]], raters[i], self.table.several_rows
            )
            for i in differing
        }
        self._note(several, labels)
        tied = [i for i, label in labels.items() if label is None]
        problems.found(
            f'images of {self.source} of which no class has the majority',
            tied,
            'Correct the rows, leave some out with table.filter, or with classes in '
            "order say table.several_rows='any' (the last) or 'all' (the first).",
        )
        firsts = [cases[0] for cases in by_image.values()]
        return [
            first
            if (label := labels.get(first.image_id)) is None
            else first._replace(label=label)
            for first in firsts
        ]

    def _check_alike(
        self, several: Mapping[str, Sequence[Case]], key: str, problems: Problems
    ) -> None:
        problems.found(
            f'images of {self.source} whose rows have several {key}s',
            [i for i, cases in several.items() if _differ(cases, key)],
            f'All rows of an image must have one {key}; correct them, or take some '
            'with table.filter.',
        )

    def _check_order(
        self,
        differing: Sequence[str],
        by_image: Mapping[str, Sequence[Case]],
        problems: Problems,
    ) -> None:
        """Notes where only an order of the classes could tell which is meant."""
        way = self.table.several_rows
        if self.classes is not None or way == 'majority':
            return
        problems.found(
            f'images of {self.source} whose rows have several classes',
            [i for i in differing if not isinstance(by_image[i][0].label, tuple)],
            f'table.several_rows={way!r} takes the '
            f'{"last" if way == "any" else "first"} in order: name all with '
            "classes=[...], or say 'majority'. Several labels an image need "
            'table.label_separator.',
        )

    def _raters(
        self,
        several: Mapping[str, Sequence[Case]],
        rows: Mapping[str, Sequence[Row]],
        problems: Problems,
    ) -> dict[str, list[str]]:
        """Gives who says each row; without a rater each row is a voice."""
        column = self.table.rater
        if not column:
            return {i: [*map(str, range(len(cases)))] for i, cases in several.items()}
        problems.found(
            f'rows without a rater in column {column!r} of {self.source}',
            [r.place for i in several for r in rows[i] if is_empty(r.cells[column])],
            'Fill it in, or leave them out with table.filter.',
        )
        return {i: [plain(row.cells[column]) for row in rows[i]] for i in several}

    def _note(
        self,
        several: Mapping[str, Sequence[Case]],
        labels: Mapping[str, int | tuple[float, ...] | None],
    ) -> None:
        if not several:
            return
        count = sum(map(len, several.values()))
        by = f' of {self.table.rater}' if self.table.rater else ''
        text = (
            f'{len(several)} images have several rows, {count} in all, put together by '
            f'table.several_rows={self.table.several_rows!r}{by}; those of '
            f'{len(labels)} differ'
        )
        if labels:
            text += f' ({first_few([*labels], 3)})'
        tied = sum(
            score == MISSING and set(scores) != {MISSING}
            for i, label in labels.items()
            if isinstance(label, tuple)
            for score, scores in zip(label, _columns(several[i]), strict=True)
        )
        if tied:
            text += f'; {tied} labels are a tie and count as missing'
        self.notes.append(f'{text}.')


def _columns(cases: Sequence[Case]) -> list[tuple[float, ...]]:
    """The scores of each label in all rows of an image."""
    rows = [case.label for case in cases if isinstance(case.label, tuple)]
    return list(zip(*rows, strict=True))


def _differ(cases: Sequence[Case], key: str) -> bool:
    first = getattr(cases[0], key)
    return any(getattr(case, key) != first for case in cases[1:])
