"""Messidor: fundus photographs with four grades of diabetic retinopathy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import DatasetError, Problems
from ff_mm.datasets.files.text import read_lines
from ff_mm.datasets.published import Published
from ff_mm.datasets.retinopathy_grades import (
    GRADE_COLUMNS,
    GRADES,
    GradedImage,
    grades_of,
)
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.tables.table_file import is_empty, plain, read_table

#: Of the five grades of the ICDR scale, Messidor has the numbers of the first four.
MESSIDOR_GRADES = GRADES[:4]

TEXT = ('.csv', '.tsv')
EXCEL = ('.xls', '.xlsx')

#: Errata of ADCIS of 31 August and 24 October 2016: image -> correct grade.
CORRECTED = {
    '20051020_63045_0100_PP': 0,
    '20051020_63936_0100_PP': 1,
    '20051020_64007_0100_PP': 3,
    '20060523_48477_0100_PP': 3,
}
#: Erratum of ADCIS of 16 August 2017, images of Base33: image -> its copy.
DUPLICATES = {
    '20051202_55582_0400_PP': '20051202_54744_0400_PP',
    '20051202_41076_0400_PP': '20051202_40508_0400_PP',
    '20051202_48287_0400_PP': '20051202_41238_0400_PP',
    '20051202_48586_0400_PP': '20051202_41260_0400_PP',
    '20051202_55457_0400_PP': '20051202_54530_0400_PP',
    '20051202_55626_0400_PP': '20051205_33025_0400_PP',
    '20051202_54783_0400_PP': '20051202_55607_0400_PP',
    '20051202_48575_0400_PP': '20051202_41034_0400_PP',
    '20051205_32966_0400_PP': '20051205_35099_0400_PP',
    '20051202_55484_0400_PP': '20051202_54555_0400_PP',
    '20051205_32981_0400_PP': '20051205_35110_0400_PP',
    '20051202_55562_0400_PP': '20051202_54611_0400_PP',
    '20051202_54547_0400_PP': '20051202_55498_0400_PP',
}


@DATASETS.register_module()
class Messidor(SplitDataset):
    """The original Messidor, to test models of APTOS or EyePACS out of distribution.

    1,200 fundus photographs of three French hospitals in twelve parts: for each a
    folder ``Base11`` ... ``Base34`` of ``*.tif`` and a table
    ``Annotation_Base11.xls`` ... (Image name, Ophthalmologic department, Retinopathy
    grade, Risk of macular edema), also as ``Annotation_Base11_update20161024.xls``. A
    table is read as Excel, which needs ``pip install python-calamine``, or as csv or
    tsv if it is there under the same name. Tables and images may lie anywhere below
    ``data_root``.

    The paper tests on a sample of 10 % and does not say which. ``split='test'`` is
    such a sample; ``split='all'`` has ten times the images and so a third of the error:
    use it wherever no model is trained on Messidor.

    The classes are the five of the ICDR scale, so that models of APTOS or EyePACS can
    be tested; grade 4 never occurs. Grades keep their numbers, as in the paper, though
    they count lesions of one photograph where ICDR tells kinds of lesions:

    - 0, no lesion: No DR;
    - 1, up to 5 microaneurysms and no haemorrhage: Mild;
    - 2, up to 14 microaneurysms or up to 4 haemorrhages: Mild or Moderate;
    - 3, more of either, or new vessels: up to Severe and Proliferative.

    There is no way to map them that is right for every image. Where a model predicts
    grade 4, it is wrong, and macro precision and F1 count a fifth class.

    No patients are known, so ``group`` is None. 1,058 of the images are in Messidor-2,
    too, under the same names as png.

    Args:
        errata: Whether to apply what ADCIS published: four grades are corrected (the
            tables of 2016 already are), and of 13 pairs of the same photograph in
            Base33 one is left out, which leaves 1,187 images. (One such pair has two
            grades; that of 20051202_55626_0400_PP is kept, 2 in the table.)
        *args: Those of :class:`SplitDataset`.
        **kwargs: Those of :class:`SplitDataset`.

    References:
        E. Decencière et al., "Feedback on a publicly distributed image database: the
        Messidor database", Image Analysis & Stereology 33(3), 231-234 (2014), doi
        10.5566/ias.1155.
        Errata: the page of the data set at ADCIS.
    """

    METAINFO = {'classes': GRADES}

    def __init__(self, *args: Any, errata: bool = True, **kwargs: Any) -> None:
        self.errata = errata
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads all tables of annotations."""
        paths = _annotations(self.files.tables)
        if not paths:
            problems.add(
                'There is no Annotation_Base11.xls, nor any other table of that kind '
                '(also csv, tsv, xlsx). Set data_root to the folder that holds them.'
            )
        images = [image for path in paths for image in _read(path, problems)]
        grades = [(self.image_key(image.name), image.grade) for image in images]
        if not self.errata:
            return [Case(name, grade) for name, grade in grades]
        left_out = set(DUPLICATES.values())
        return [
            Case(name, CORRECTED.get(name, grade))
            for name, grade in grades
            if name not in left_out
        ]


def _annotations(tables: Mapping[str, str]) -> list[str]:
    """Gives the tables of annotations, one for each part of the data."""
    names = [
        name
        for name in tables
        if name.lower().startswith('annotation')
        and PurePath(name).suffix.lower() in TEXT + EXCEL
    ]
    chosen: dict[str, str] = {}
    for name in sorted(names, key=_preference):
        part = re.search(r'base\D?(\d\d)', name.lower())
        chosen.setdefault(part[1] if part else PurePath(name).stem, tables[name])
    return sorted(chosen.values())


def _preference(name: str) -> tuple[bool, bool, str]:
    """Sorts what needs no other library first, then the updated."""
    return not _is_text(name), 'update' not in name.lower(), name


def _is_text(name: str) -> bool:
    return PurePath(name).suffix.lower() in TEXT


def _read(path: str, problems: Problems) -> list[GradedImage]:
    if _is_text(path):
        rows = read_table(path, (), problems, optional=None)
    else:
        rows = _read_excel(path, problems)
    return grades_of(rows, path, problems, MESSIDOR_GRADES)


def _read_excel(path: str, problems: Problems) -> list[dict[str, str]]:
    """Reads the first sheet; all cells as strings, empty ones as ''."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        # Raised here, as it is the same for all twelve tables.
        raise DatasetError(
            problems.subject,
            [
                f'{path!r} is an Excel table: pip install python-calamine to read it, '
                'or save every table as csv beside it.'
            ],
        ) from error
    try:
        sheet = CalamineWorkbook.from_path(path).get_sheet_by_index(0)
    except CalamineError as error:
        problems.add(f'{path!r} is no Excel table ({error}). Download it again.')
        return []
    columns, *rows = sheet.to_python() or [[]]
    return [
        {
            str(column).strip(): str(cell).strip()
            for column, cell in zip(columns, row, strict=True)
        }
        for row in rows
    ]


GRADES_TABLE = 'messidor_data.csv'
PAIRS_TABLE = 'messidor-2.csv'

GRADABLE = 'adjudicated_gradable'


@DATASETS.register_module()
class Messidor2(SplitDataset):
    """Messidor-2, to test models of APTOS or EyePACS out of distribution.

    1,748 fundus photographs of 874 examinations, one of each eye, of French hospitals.
    1,744 could be graded and are read, on the ICDR scale of APTOS and EyePACS: No DR,
    Mild, Moderate, Severe, Proliferative (0 to 4). The data comes in two parts:

    - images from ADCIS: ``IMAGES/*.png`` and ``IMAGES/*.JPG`` with ``messidor-2.csv``,
      which has a row of two images (left;right) for each examination;
    - grades from Kaggle, google-brain/messidor2-dr-grades: ``messidor_data.csv``
      (image_id, adjudicated_dr_grade, adjudicated_dme, adjudicated_gradable).

    The copy mariaherrerot/messidor2preprocess at Kaggle has both, with the columns
    id_code and diagnosis. Tables and images may lie anywhere below ``data_root``.
    Images are found by their names without extension, in upper or lower case;
    ``image_id`` is that name in lower case.

    The ``group`` of a case is its examination, and None without ``messidor-2.csv``.

    The paper tests on a sample of 10 % and does not say which. ``split='test'`` is
    such a sample; ``split='all'`` has ten times the images and so a third of the error:
    use it wherever no model is trained on Messidor-2.

    1,058 of the images are in :class:`~ff_mm.datasets.messidor.Messidor`, too, with
    grades of another scale.

    Args:
        **kwargs: Those of :class:`SplitDataset`.

    References:
        M. D. Abràmoff et al., "Automated Analysis of Retinal Images for Detection of
        Referable Diabetic Retinopathy", JAMA Ophthalmology 131(3), 2013, doi
        10.1001/jamaophthalmol.2013.1743, for the images.
        J. Krause et al., "Grader Variability and the Importance of Reference Standards
        for Evaluating Machine Learning Models for Diabetic Retinopathy", Ophthalmology
        125(8), 2018, doi 10.1016/j.ophtha.2018.01.034, for the grades.
    """

    METAINFO = {'classes': GRADES}
    PUBLISHED = {GRADES_TABLE: Published.of(GRADES, 1017, 270, 347, 75, 35)}

    def image_key(self, name: str) -> str:
        """Turns the name of an image into its id: no folder, no extension, no case."""
        return super().image_key(name).lower()

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the grades of all gradable images, and the pairs if they are there."""
        tables = self.files.tables
        if GRADES_TABLE not in tables:
            problems.add(
                f'{GRADES_TABLE} is not there: the grades are not part of Messidor-2. '
                'Get them from google-brain/messidor2-dr-grades at Kaggle.'
            )
            return []
        path = tables[GRADES_TABLE]
        rows = read_table(path, (), problems, optional=None)
        rows = [row for row in rows if _is_gradable(row)]
        pairs = self._read_pairs(problems)
        images = grades_of(rows, path, problems)
        self.compare_published(path, len(images), (GRADES[i.grade] for i in images))
        return [
            Case(image_id, image.grade, pairs.get(image_id))
            for image in images
            for image_id in [self.image_key(image.name)]
        ]

    def _read_pairs(self, problems: Problems) -> dict[str, str]:
        """Gives each image its examination, named by the image of the left eye."""
        path = self.files.tables.get(PAIRS_TABLE)
        if path is None:
            return {}
        # With semicolons as published; the row of column names names no image.
        lines = [re.split('[;,\t]', line) for line in read_lines(path, problems)]
        return {
            self.image_key(name.strip()): self.image_key(line[0].strip())
            for line in lines
            for name in line
        }


def _is_gradable(row: dict[str, str]) -> bool:
    """Whether a row has a grade; one that is not marked but empty has none, either."""
    grades = [row[name] for name in GRADE_COLUMNS if name in row]
    return plain(row.get(GRADABLE, '1')) != '0' and not any(map(is_empty, grades))
