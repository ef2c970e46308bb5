"""The five grades of diabetic retinopathy, and tables that give them to images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ff_mm.datasets.errors import Problems
from ff_mm.datasets.splits.split_file import read_splits
from ff_mm.datasets.tables.table_file import find_column, plain, read_table

#: The International Clinical Diabetic Retinopathy (ICDR) severity scale, 0 to 4.
GRADES = ('No DR', 'Mild', 'Moderate', 'Severe', 'Proliferative')

#: What names the image and its grade, under the names of every copy in use.
IMAGE_COLUMNS = ('id_code', 'image', 'image_id', 'filename', 'Image name')
GRADE_COLUMNS = (
    'diagnosis',
    'level',
    'class',
    'adjudicated_dr_grade',
    'Retinopathy grade',
)

# Tables and class folders say "No_DR" or "Proliferate_DR"; compared without "DR".
_NAMES = {
    'no': 0,
    'mild': 1,
    'moderate': 2,
    'severe': 3,
    'proliferative': 4,
    'proliferate': 4,
}


class GradedImage(NamedTuple):
    """One row of a table of grades.

    Attributes:
        name: The image as the table names it, with or without folder and extension.
        grade: 0 to 4.
        row: All cells, by column.
    """

    name: str
    grade: int
    row: dict[str, str]


def read_grades(path: str, problems: Problems) -> list[GradedImage]:
    """Reads a table of grades.

    Args:
        path: The table, with one of ``IMAGE_COLUMNS`` and one of ``GRADE_COLUMNS``.
        problems: Takes a note of what is wrong.

    Returns:
        One entry a row, see :func:`grades_of`.
    """
    return grades_of(read_table(path, (), problems, optional=None), path, problems)


def read_split_grades(
    path: str, problems: Problems
) -> list[tuple[GradedImage, str | None]]:
    """Reads a table of grades that says the split of each image, too.

    The FissionFusion authors have one for APTOS and one for EyePACS, with the columns
    filename, class and split.

    Args:
        path: The table, as for :func:`read_grades`, with a column ``split``.
        problems: Takes a note of what is wrong.

    Returns:
        Every image with its split; None where the table has none, which was noted.
    """
    images = read_grades(path, problems)
    names = [image.name for image in images]
    words = [image.row.get('split', '') for image in images]
    splits = read_splits(words, names, repr(path), problems)
    return [(image, split or None) for image, split in zip(images, splits, strict=True)]


def grades_of(
    rows: Sequence[dict[str, str]],
    path: str,
    problems: Problems,
    grades: Sequence[str] = GRADES,
) -> list[GradedImage]:
    """Finds the image and its grade in the rows of a table.

    Rows without an image are left out, as spreadsheets end in empty ones.

    Args:
        rows: Column -> cell. A grade is a number such as 2 or 2.0, or a name such as
            Moderate, No_DR or Proliferate_DR.
        path: The table, for the message.
        problems: Takes a note of missing columns and of cells that are no grade.
        grades: Those that may occur.

    Returns:
        One entry a row that names an image and its grade.
    """
    image = find_column(IMAGE_COLUMNS, rows, path, problems)
    grade = find_column(GRADE_COLUMNS, rows, path, problems)
    if image is None or grade is None:
        return []
    rows = [row for row in rows if row[image]]
    known: list[GradedImage] = []
    strange = []
    for row in rows:
        number = to_grade(row[grade])
        if number is not None and number < len(grades):
            known.append(GradedImage(row[image], number, row))
        else:
            strange.append(f'{row[image]}: {row[grade]!r}')
    problems.found(
        f'images in {path!r} whose {grade!r} is no grade',
        strange,
        f'Known are 0 to {len(grades) - 1} ({", ".join(grades)}).',
    )
    return known


def to_grade(cell: str) -> int | None:
    """Turns a cell into a grade; None if it is neither a whole number nor a name."""
    word = plain(cell).lower()
    if word.isdecimal():
        return int(word)
    letters = ''.join(filter(str.isalpha, word))
    return _NAMES.get(letters.removesuffix('dr'))
