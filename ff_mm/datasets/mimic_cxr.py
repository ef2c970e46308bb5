"""MIMIC-CXR-JPG: chest radiographs of Beth Israel Deaconess Medical Center."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.chest_findings import (
    CELLS,
    NO_FINDING,
    ChestFindings,
    scan_above,
)
from ff_mm.datasets.errors import Problems, check_choice
from ff_mm.datasets.published import Published
from ff_mm.datasets.splits.split_file import read_splits
from ff_mm.datasets.tables.table_file import read_table

SPLIT_TABLE = 'mimic-cxr-2.0.0-split.csv'
METADATA = 'mimic-cxr-2.0.0-metadata.csv'
#: Who read the reports -> the table with the labels.
LABELERS = {
    'chexpert': 'mimic-cxr-2.0.0-chexpert.csv',
    'negbio': 'mimic-cxr-2.0.0-negbio.csv',
    'radiologist': 'mimic-cxr-2.1.0-test-set-labeled.csv',
}
#: What the radiologist's table calls a label.
OTHER_NAMES = {'Lung Opacity': 'Airspace Opacity'}

#: Our name of a view -> values of ViewPosition; the oblique and the rare are neither.
POSITIONS = {'frontal': ('AP', 'PA'), 'lateral': ('LATERAL', 'LL')}

#: A folder that holds a tenth of the patients, p10 to p19.
TENTH = re.compile(r'p\d\d')


@DATASETS.register_module()
class MIMICCXR(ChestFindings):
    """MIMIC-CXR-JPG 2.0.0 or 2.1.0: the findings of CheXpert, from another hospital.

    Read as PhysioNet gives it, with ``data_root`` the folder of the tables or any above
    it: ``mimic-cxr-2.0.0-split.csv.gz``, ``mimic-cxr-2.0.0-metadata.csv.gz``,
    ``mimic-cxr-2.0.0-chexpert.csv.gz``, unpacked or not, and
    ``files/pNN/pNNNNNNNN/sNNNNNNNN/<dicom_id>.jpg``, where only the images of the
    chosen split must be there, and resized copies may be in another format.

    The split is the official one: 368,960, 2,991 and 5,159 images of all views in
    train, val (there called validate) and test. As out-of-distribution data of CheXpert
    take ``split='test'``.

    Labels are those of CheXpert in the same order, and belong to a study, so all its
    images share them. Images of studies that the table of labels does not name are left
    out: with the CheXpert labeler a few without a report that it could read, with
    ``'radiologist'`` all but the 687 studies of the test set that one has read.
    :class:`ChestFindings` says what becomes of missing and uncertain labels.

    The ``group`` of a case is its patient, its ``image_id`` the ``dicom_id``.

    Args:
        *args: Those of :class:`ChestFindings`.
        labeler: Whose labels: ``'chexpert'``, ``'negbio'``, or ``'radiologist'`` for
            ``mimic-cxr-2.1.0-test-set-labeled.csv``.
        **kwargs: Those of :class:`ChestFindings`. Frontal ``views`` are those with the
            ViewPosition AP or PA, lateral ones LATERAL or LL; all need no metadata.

    References:
        A. Johnson et al., "MIMIC-CXR-JPG, a large publicly available database of
        labeled chest radiographs", arXiv 1901.07042.
        To be had at https://physionet.org/content/mimic-cxr-jpg/2.1.0/, doi
        10.13026/jsn5-t979.
    """

    PUBLISHED = {
        SPLIT_TABLE: Published(377110),
        METADATA: Published(377110),
        LABELERS['chexpert']: Published(227827, cells=CELLS),
        LABELERS['negbio']: Published(227827, cells=CELLS),
    }

    def __init__(self, *args: Any, labeler: str = 'chexpert', **kwargs: Any) -> None:
        check_choice('labeler', labeler, LABELERS)
        self.labeler = labeler
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Joins the tables of splits, of views and of labels."""
        tables, tenths = scan_above(self.data_root, TENTH)
        folders = list(dict.fromkeys(map(os.path.dirname, tenths)))
        needed = [SPLIT_TABLE, LABELERS[self.labeler]]
        needed += [METADATA] * (self.views != 'all')
        problems.found(
            'tables not found',
            [f'{name}.gz' for name in needed if name not in tables],
            'Download them from PhysioNet, and set data_root to a folder above them.',
        )
        if len(folders) > 1:
            problems.add(
                f'Several folders hold patients: {", ".join(folders)}. Set data_root '
                'to the one folder with tables and images of MIMIC-CXR-JPG.'
            )
        if problems:
            return []
        folder = folders[0] if folders else os.path.join(self.data_root, 'files')
        return self._join(tables, folder, problems)

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        return [*super().extra_repr(), f'Labeler: \t{self.labeler}']

    def _join(
        self, tables: Mapping[str, str], folder: str, problems: Problems
    ) -> list[Case]:
        images = self._read_images(tables[SPLIT_TABLE], problems)
        images = self._select_views(images, tables, problems)
        labels = self._read_studies(
            tables[LABELERS[self.labeler]],
            {image['study_id'] for image in images},
            problems,
        )
        return [
            Case(
                image['dicom_id'],
                labels[image['study_id']],
                f'p{image["subject_id"]}',
                image['split'],
                _path(folder, image),
            )
            for image in images
            if image['study_id'] in labels
        ]

    def _read_images(self, path: str, problems: Problems) -> list[dict[str, str]]:
        """Reads the images of the split, or all if a list is to choose."""
        columns = ['dicom_id', 'study_id', 'subject_id', 'split']
        rows = read_table(path, columns, problems)
        self.compare_published(path, len(rows))
        words, names = [r['split'] for r in rows], [r['dicom_id'] for r in rows]
        splits = read_splits(words, names, repr(path), problems)
        return [
            {**row, 'split': split}
            for row, split in zip(rows, splits, strict=True)
            if split in self.needed_splits
        ]

    def _select_views(
        self,
        images: list[dict[str, str]],
        tables: Mapping[str, str],
        problems: Problems,
    ) -> list[dict[str, str]]:
        if self.views == 'all':
            return images
        columns = ['dicom_id', 'ViewPosition']
        rows = read_table(tables[METADATA], columns, problems)
        self.compare_published(tables[METADATA], len(rows))
        views = {row['dicom_id']: row['ViewPosition'] for row in rows}
        lost = [i for i in images if not views.get(i['dicom_id'])]
        if lost:
            splits = Counter(image['split'] for image in lost)
            listed = ', '.join(f'{name} {splits[name]:,}' for name in sorted(splits))
            self.notes.append(
                f'{len(lost):,} of {len(images):,} images have no ViewPosition in '
                f'{tables[METADATA]!r} and are left out with views={self.views!r} '
                f"({listed}); views='all' takes them."
            )
        positions = POSITIONS[self.views]
        return [i for i in images if views.get(i['dicom_id']) in positions]

    def _read_studies(
        self, path: str, studies: set[str], problems: Problems
    ) -> dict[str, tuple[float, ...]]:
        """Gives the labels of the studies that a table names."""
        names = {label: label for label in self.labels}
        if self.labeler == 'radiologist':
            names |= {k: v for k, v in OTHER_NAMES.items() if k in names}
        columns = ['study_id', *names.values()]
        rows = read_table(path, columns, problems, optional=[NO_FINDING])
        count = len(rows)
        for row in rows:
            row.update({label: row[name] for label, name in names.items()})
        self.compare_published(path, count, cells=self.cells_of_labels(rows))
        rows = [row for row in rows if row['study_id'] in studies]
        scores = self.read_labels(rows, path, problems)
        return dict(zip((row['study_id'] for row in rows), scores, strict=True))


def _path(folder: str, image: Mapping[str, str]) -> str:
    patient = f'p{image["subject_id"]}'
    study = f's{image["study_id"]}'
    return os.path.join(folder, patient[:3], patient, study, f'{image["dicom_id"]}.jpg')
