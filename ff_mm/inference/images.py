"""Which images a model is to look at: files, folders, and tables of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.finding import find_image
from ff_mm.datasets.files.image_paths import files_below
from ff_mm.datasets.tables.table_file import read_table
from ff_mm.errors import ConfigError

_TABLES = ('.csv', '.tsv')


def find_images(
    given: Sequence[str],
    column: str = 'image',
    root: str | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Lists images in the order in which they are given.

    Args:
        given: Files; folders, of which all images at any depth are taken, by name;
            tables (.csv, .tsv) with a row an image.
        column: The column of a table that has the path.
        root: What paths of a table are relative to; None: the table's folder.
        notify: Takes lines for the user, such as what a folder has besides images.

    Returns:
        Paths, as given or below what was given. That a file is there is not checked:
        one that is missing is no reason to leave out the others.

    Raises:
        ConfigError: A folder without images, or nothing at all.
        DatasetError: A table that cannot be read.
    """
    found: list[str] = []
    for each in given:
        if os.path.isdir(each):
            found += _in_folder(each, notify)
        elif each.lower().endswith(_TABLES):
            found += _in_table(each, column, root)
        else:
            found.append(each)
    if not found:
        raise ConfigError('no images: give files, folders, or a csv with their paths')
    return found


def _in_folder(folder: str, notify: Callable[[str], None]) -> list[str]:
    below = files_below(folder)
    if not below.images:
        raise ConfigError(f'{folder}: has no images in it')
    if below.others:
        number = len(below.others)
        what = 'file is no image' if number == 1 else 'files are no images'
        notify(f'note: {folder}: {number} {what} and left out: {below.others[0]}, ...')
    return [os.path.join(folder, name) for name in below.images]


def _in_table(table: str, column: str, root: str | None) -> list[str]:
    problems = Problems(table)
    rows = read_table(table, [column], problems)
    problems.raise_if_any()
    folder = Path(table).parent if root is None else Path(root)
    cells = [row[column] for row in rows]
    if '' in cells:
        raise ConfigError(
            f'{table}: the column {column!r} is empty in row {cells.index("") + 2}'
        )
    paths = [str(folder / cell.replace('\\', '/')) for cell in cells]
    # As in training, a name may lack its extension or have that of before a copy.
    return [find_image(path) or path for path in paths]
