"""The user's own data: images and a table with one row for each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.image_paths import (
    files_below,
    is_excluded,
    locate_images,
    relative_name,
)
from ff_mm.datasets.files.masks import note_masks
from ff_mm.datasets.own_dataset import OwnDataset
from ff_mm.datasets.splits.split_file import mark_trainval, read_splits
from ff_mm.datasets.tables.row_filter import select_rows
from ff_mm.datasets.tables.table_description import TableDescription
from ff_mm.datasets.tables.table_file import (
    OTHERS,
    Row,
    is_empty,
    meaning,
    note_others,
    plain,
)
from ff_mm.datasets.tables.table_labels import (
    read_label_columns,
    read_one_hot,
    read_words,
    words_in,
)
from ff_mm.datasets.tables.table_rows import TableReader
from ff_mm.datasets.tables.voices import Voices
from ff_mm.errors import ConfigError
from ff_mm.plain import first_few

_SPLIT_MAP = (
    "Say what others mean with split_map={'<word>': 'train'}, or None to leave the "
    'rows out.'
)


@DATASETS.register_module()
class TableDataset(OwnDataset):
    """Images, and a table with one row for each.

    The table is a csv with commas, semicolons, tabs or ``|``, gzipped or not, or a
    parquet file (which needs ``pip install pyarrow``)::

        dict(
            type='TableDataset',
            data_root='data/clinic',
            table=dict(
                file='cases.csv',
                image='file',
                label='diagnosis',
                group='patient',
            ),
            split='train',
        )

    :class:`ff_mm.datasets.tables.table_description.TableDescription` lists all keys of
    ``table``; docs/own_data.md walks through them.

    The classes are those of ``classes``, in that order; else all that occur in the
    rows which the filter leaves, of whatever split, sorted, numbers by value. With
    ``table.labels`` they are these. Cells are text without space around it, and 1.0 is
    1. Empty are also nan, NA, N/A and null.

    The split is what the table says. If it names train and no val, val is cut off
    train by ``shares``; if it names no split, all three are.

    The ``group`` of a case is what stands in the columns ``table.group``. Its
    ``image_id`` is the image as the table names it: with slashes, and relative if it
    leads below ``data_prefix``. So do ``image_list`` and ``split_file`` name it.

    Args:
        data_root: The folder of the table.
        table: What the table is, see above.
        classes: All classes in the order of their numbers, or the path of a text file
            with one a line. Not with ``table.labels``.
        data_prefix: The folder of the images, relative to ``data_root`` or absolute.
        **kwargs: Those of :class:`SplitDataset`.

    Raises:
        ConfigError: If ``table`` cannot be meant so.
        DatasetError: If table or images cannot be used; names every problem, with its
            rows.
    """

    def __init__(
        self,
        data_root: str,
        table: Mapping[str, Any],
        classes: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.table = TableDescription.from_config(table)
        if self.table.labels and classes is not None:
            raise ConfigError('classes: table.labels names them; leave classes out')
        if self.table.labels:
            classes = self.table.labels
        self._named = classes is not None
        super().__init__(data_root, classes=classes, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the rows that the filter leaves."""
        by_image = self._by_image(self._read_rows(problems), problems)
        rows = [row for found in by_image.values() for row in found]
        if not rows:
            return []
        by_row = zip(
            self._labels(rows, problems),
            self._groups(rows, problems),
            self._official_splits(rows, problems),
            strict=True,
        )
        if not self.table.several_rows:
            return [
                Case(image_id, label, group, split)
                for image_id, (label, group, split) in zip(
                    by_image, by_row, strict=True
                )
            ]
        cases = {i: [Case(i, *next(by_row)) for _ in by_image[i]] for i in by_image}
        voices = Voices(self.table, self._name(), self.CLASSES if self._named else None)
        put_together = voices.cases(cases, by_image, problems)
        self.notes += voices.notes
        return put_together

    def image_key(self, name: str) -> str:
        """Writes a name with slashes, and relative if it leads below data_prefix."""
        return relative_name(plain(name), self.img_prefix)

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        return [*super().extra_repr(), f'Table: \t{self.table.file}']

    def _read_rows(self, problems: Problems) -> list[Row]:
        root = os.path.normpath(self.img_prefix)
        reader = TableReader(self.table, self.data_root, root, self.image_key)
        rows = reader.read(problems)
        self.notes += reader.notes
        if not rows:
            return []
        rows = select_rows(rows, self.table.conditions, self._name(), problems)
        self._note_others(rows)
        return [row for row in rows if not self._is_left_out(row)]

    def _note_others(self, rows: Sequence[Row]) -> None:
        """Notes what ``'*'`` of the maps stands for."""
        table = self.table
        if OTHERS in table.label_map:
            words = [
                word
                for row in rows
                for column in ([table.label] if table.label else table.labels)
                for word in words_in(row.cells[column], table)
            ]
            self.notes += note_others(words, table.label_map, 'table.label_map')
        if OTHERS in table.split_map:
            words = [row.cells[table.split] for row in rows]
            self.notes += note_others(words, table.split_map, 'table.split_map')

    def _is_left_out(self, row: Row) -> bool:
        """Whether its split or its class is mapped to None."""
        table = self.table
        maps = {table.split: table.split_map}
        if not table.label_separator:
            maps[table.label] = table.label_map
        return any(
            column and meaning(row.cells[column], meanings) is None
            for column, meanings in maps.items()
        )

    def _by_image(
        self, rows: Sequence[Row], problems: Problems
    ) -> dict[str, list[Row]]:
        column = self.table.image
        by_image: dict[str, list[Row]] = {}
        unnamed, again, excluded = [], [], []
        for row in rows:
            if is_empty(row.cells[column]):
                unnamed.append(row.place)
                continue
            image_id = self.image_key(row.image or row.cells[column])
            if is_excluded(image_id, self.exclude):
                excluded.append(image_id)
                continue
            found = by_image.setdefault(image_id, [])
            if found and not self.table.several_rows:
                again.append(f'{row.place}: {image_id} (as {found[0].place})')
            else:
                found.append(row)
        problems.found(
            f'rows without an image in {self._name(column)}',
            unnamed,
            'Fill it in, or delete the rows.',
        )
        problems.found(
            'rows with an image that another row has',
            again,
            'Leave one row for each image, or say how to put them together: '
            "table.several_rows='any', 'all' or 'majority'. Several labels may also "
            'stand in several columns (table.labels) or in one cell '
            '(table.label_separator).',
        )
        self._check_files(excluded, problems)
        self.notes += note_masks([*by_image])
        return by_image

    def _check_files(self, excluded: list[str], problems: Problems) -> None:
        """Checks ``exclude``, which may mean files that no row names."""
        if not all(any(is_excluded(x, [p]) for x in excluded) for p in self.exclude):
            root = os.path.normpath(self.img_prefix)
            excluded += files_below(root, self.exclude).excluded
            self.check_exclude(excluded, problems)

    def _labels(
        self, rows: Sequence[Row], problems: Problems
    ) -> Sequence[int | tuple[float, ...]]:
        if self.table.one_hot:
            return read_one_hot(rows, self.table, self._name(), problems)
        if self.table.labels:
            return read_label_columns(rows, self.table, problems)
        source = self._name(self.table.label)
        words = read_words(rows, self.table, source, problems)
        numbers = self.number_classes(
            [word for found in words for word in found],
            [row.place for row, f in zip(rows, words, strict=True) for _ in f],
            source,
            problems,
        )
        if self.table.label_separator:
            return [tuple(float(name in found) for name in numbers) for found in words]
        # What has no number is a problem already, and any number will do for now.
        return [numbers.get(''.join(found), 0) for found in words]

    def _groups(self, rows: Sequence[Row], problems: Problems) -> Sequence[str | None]:
        columns = self.table.group
        lacking = [any(is_empty(row.cells[c]) for c in columns) for row in rows]
        alone = self.table.group_missing == 'alone'
        problems.found(
            f'rows without a group in {self._name(*columns)}',
            []
            if alone
            else [r.place for r, no in zip(rows, lacking, strict=True) if no],
            'Fill it in; if such images belong to no other: '
            "table.group_missing='alone'.",
        )
        names = ('/'.join(plain(row.cells[c]) for c in columns) for row in rows)
        groups = [
            None if missing else name or None
            for name, missing in zip(names, lacking, strict=True)
        ]
        self.check_groups(groups, self._name(*columns), problems)
        return groups

    def _official_splits(
        self, rows: Sequence[Row], problems: Problems
    ) -> Sequence[str | None]:
        column, splits = self.table.split, [row.split for row in rows]
        if column:
            meanings = self.table.split_map
            words = [meaning(row.cells[column], meanings) or '' for row in rows]
            places = [row.place for row in rows]
            source = self._name(column)
            splits = read_splits(words, places, source, problems, _SPLIT_MAP)
        return [split or None for split in mark_trainval(splits)]

    def _name(self, *columns: str) -> str:
        """Names columns of the table, or the table, for messages."""
        file = self.table.file
        files = [file] if isinstance(file, str) else file.values()
        table = ', '.join(repr(name) for name in files)
        if not columns:
            return table
        return f'column {", ".join(repr(name) for name in columns)} of {table}'

    def find_images(
        self, cases: list[Case], problems: Problems
    ) -> Sequence[str | None]:
        """Finds each image where the table says, or by the end of its path."""
        names = [case.image_id for case in cases]
        root = os.path.normpath(self.img_prefix)
        if self.table.image_missing == 'error':
            return locate_images(names, root, problems, self.exclude)
        found = locate_images(names, root, problems, self.exclude, lost_is_wrong=False)
        lost = [n for n, path in zip(names, found, strict=True) if path is None]
        if lost and len(lost) == len(names):
            # None of them at all is no gap in a copy.
            return locate_images(names, root, problems, self.exclude)
        if lost:
            self.notes.append(
                f'{len(lost)} of {len(names)} images have no file and are left out '
                f'({first_few(lost, 5)}).'
            )
        return found
