"""Reading the rows that a description of a table means, with all their columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.finding import is_image
from ff_mm.datasets.files.image_paths import files_below
from ff_mm.datasets.tables.table_description import TableDescription
from ff_mm.datasets.tables.table_file import Row, is_empty, read_rows, with_nearest
from ff_mm.datasets.tables.table_join import join_rows


class TableReader:
    """Reads the rows of a table: joined, with folders opened and paths taken apart.

    Args:
        table: What it is.
        data_root: To which its file is relative.
        images: The folder to which images are.
        image_key: Writes the name of an image as all know it.

    Attributes:
        notes: What was odd, in sentences.
    """

    def __init__(
        self,
        table: TableDescription,
        data_root: str,
        images: str,
        image_key: Callable[[str], str],
    ) -> None:
        self.table = table
        self.data_root = data_root
        self.images = images
        self.image_key = image_key
        self.notes: list[str] = []

    def read(self, problems: Problems) -> list[Row]:
        """Gives all rows.

        Args:
            problems: Takes a note of what is wrong.

        Returns:
            None of them if a column is missing.
        """
        rows = self._open_folders(self._read_files(problems), problems)
        return self._join(self._take_apart(rows, problems), problems)

    def _join(self, rows: list[Row], problems: Problems) -> list[Row]:
        """Puts the columns of other tables beside those of the first."""
        names = [*rows[0].cells] if rows else []
        for join in self.table.joins if rows else ():
            path = self._path(join.file)
            others = read_rows(path, join.theirs, problems, None, self.table.encoding)
            lost = [name for name in join.ours if name not in rows[0].cells]
            _check_columns(lost, names, problems)
            if not others or lost:
                return []
            names += others[0].cells
            rows, notes = join_rows(rows, others, join, self.table.columns, problems)
            self.notes += notes
            if not rows:
                return []
        if rows and self.table.joins:
            lost = [name for name in self.table.columns if name not in rows[0].cells]
            _check_columns(lost, names, problems)
            if lost:
                return []
        return rows

    def _read_files(self, problems: Problems) -> list[Row]:
        files = self.table.file
        if isinstance(files, str):
            return self._read_file(files, problems)
        return [
            Row(f'{file} {row.place}', row.cells, split)
            for split, file in files.items()
            for row in self._read_file(file, problems)
        ]

    def _read_file(self, file: str, problems: Problems) -> list[Row]:
        table = self.table
        # With another table beside it nobody knows yet which columns are whose.
        needed, optional = ([table.image], None) if table.joins else (table.columns, ())
        return read_rows(
            self._path(file), needed, problems, optional, table.encoding, table.header
        )

    def _path(self, file: str) -> str:
        return os.path.join(self.data_root, os.path.expanduser(file))

    def _open_folders(self, rows: list[Row], problems: Problems) -> list[Row]:
        """Gives a row for each image of a folder that a row names."""
        column, opened, empty = self.table.image, [], []
        folders = images = 0
        for row in rows:
            folder = '' if is_image(row.cells[column]) else self._folder(row)
            if not folder:
                opened.append(row)
                continue
            name = self.image_key(row.cells[column])
            below = files_below(folder).images
            if not below:
                empty.append(f'{row.place}: {name}')
            folders, images = folders + 1, images + len(below)
            opened += [row._replace(image=f'{name}/{image}') for image in below]
        problems.found('folders without an image', empty, 'Unpack all images.')
        if folders:
            self.notes.append(
                f'{folders} rows name a folder in column {column!r}: what they say '
                f'holds for each of the {images} images in these.'
            )
        return opened

    def _folder(self, row: Row) -> str:
        cell = row.cells[self.table.image]
        if is_empty(cell):
            return ''
        path = os.path.join(self.images, cell.replace('\\', '/'))
        if not os.path.isdir(path):  # as of most of a hundred thousand ids
            return ''
        root, path = os.path.abspath(self.images), os.path.abspath(path)
        # "/" and ".." would be walked through to the end of the disk.
        is_below = path != root and os.path.commonpath([path, root]) == root
        return path if is_below else ''

    def _take_apart(self, rows: list[Row], problems: Problems) -> list[Row]:
        """Makes columns of what ``path_pattern`` finds in the path of each image."""
        pattern, column = self.table.pattern, self.table.image
        if pattern is None:
            return rows
        paths = [self.image_key(row.image or row.cells[column]) for row in rows]
        found = [pattern.search(path) for path in paths]
        lost = [path for path, match in zip(paths, found, strict=True) if not match]
        problems.found(
            'images in whose path table.path_pattern finds nothing',
            lost,
            f'{pattern.pattern!r} must match the path as column {column!r} has it.',
        )
        if lost:
            return []
        return [
            row._replace(cells={**row.cells, **match.groupdict('')})
            for row, match in zip(rows, found, strict=True)
            if match
        ]


def _check_columns(
    lost: Sequence[str], names: Sequence[str], problems: Problems
) -> None:
    problems.found(
        'columns that neither the table nor those of table.join have',
        [with_nearest(name, names) for name in lost],
        f'They have {[*dict.fromkeys(names)]}.',
    )
