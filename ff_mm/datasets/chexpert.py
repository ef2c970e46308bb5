"""CheXpert: chest radiographs of Stanford Hospital with thirteen findings."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mmpretrain.registry import DATASETS

from ff_mm.datasets.case import Case
from ff_mm.datasets.chest_findings import (
    CELLS,
    NO_FINDING,
    ChestFindings,
    scan_above,
)
from ff_mm.datasets.errors import Problems
from ff_mm.datasets.files.finding import is_image, is_ours, without_extension
from ff_mm.datasets.published import Published
from ff_mm.datasets.splits.splitting import SPLITS
from ff_mm.datasets.tables.table_file import read_table

#: Our name of a split -> its table in the archives; the first that is there counts.
TABLES = {
    'train': ('train.csv',),
    'val': ('valid.csv', 'val_labels.csv'),
    'test': ('test_labels.csv', 'test.csv', 'groundtruth.csv'),
}

VIEW = 'Frontal/Lateral'
#: How the beam went, and what it says of a lateral image.
PROJECTION, LATERAL = 'AP/PA', ('LL', 'RL')
#: The folder of a study, in a table with one row for each.
STUDY = 'Study'

PATIENT = re.compile(r'patient\d+')
#: The end of a path, the same in all copies of the data set.
PATH = re.compile(r'(?P<patient>patient\d+)/(?P<study>study\d+)/(?P<file>[^/]+)$')


@DATASETS.register_module()
class CheXpert(ChestFindings):
    """CheXpert: 13 findings in chest radiographs, several at once, some unknown.

    Read as people have it, with ``data_root`` the folder itself or any above it:

    - ``CheXpert-v1.0-small/`` or ``CheXpert-v1.0/`` with ``train.csv``, ``valid.csv``
      and ``{train,valid}/patientNNNNN/studyN/viewN_frontal.jpg``;
    - the full archive in parts: ``CheXpert-v1.0 batch 1 (validate & csv)/`` to
      ``CheXpert-v1.0 batch 4 (train 3)/``;
    - the test set, since 2022 a part of CheXlocalize: ``CheXpert/test_labels.csv`` and
      ``CheXpert/test/patientNNNNN/...``; or the same labels by study,
      ``groundtruth.csv`` (Study), which all images of a study share;
    - any copy with resized images, also in another format than jpg.

    A patient is found by the name of the folder, so neither the folder in the column
    ``Path`` nor that on disk matters. Of several folders of one patient that counts
    which ``Path`` names, else the first.

    The split is the official one: ``train.csv``, ``valid.csv`` (234 rows, 202 frontal)
    and ``test_labels.csv`` (668 rows, 518 frontal), whose patients differ. Train is
    labelled by a program that reads reports; valid and test, where nothing is missing,
    by radiologists. With ``split='all'``, ``image_list`` and ``split_file`` those of
    the three tables are read that are there.

    The labels are Atelectasis, Cardiomegaly, Consolidation, Edema, Enlarged
    Cardiomediastinum, Fracture, Lung Lesion, Lung Opacity, Pleural Effusion, Pleural
    Other, Pneumonia, Pneumothorax, Support Devices; :class:`ChestFindings` says what
    becomes of missing and uncertain ones. The ``group`` of a case is its patient, its
    ``image_id`` for example ``'patient00001/study1/view1_frontal'``.

    Args:
        *args: Those of :class:`ChestFindings`.
        tables: Split -> table to read instead of the official one: its name, or a path
            relative to ``data_root`` or absolute. So the authors' 2,340 rows are
            ``dict(train='csv/train.csv')``.
        **kwargs: Those of :class:`ChestFindings`. The five labels of the competition
            are ``labels=['Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema',
            'Pleural Effusion']``.

    References:
        J. Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty
        Labels and Expert Comparison", AAAI 2019, arXiv 1901.07031.
        A. Saporta et al., "Benchmarking saliency methods for chest X-ray
        interpretation", Nature Machine Intelligence 4 (2022), doi
        10.1038/s42256-022-00536-x, for the test set.
        To be had at https://stanfordmlgroup.github.io/competitions/chexpert/.
    """

    PUBLISHED = {
        'train.csv': Published(223414, cells=CELLS),
        **dict.fromkeys(TABLES['val'], Published(234)),
        'test_labels.csv': Published(668),
        'test.csv': Published(668),
        'groundtruth.csv': Published(500),
    }

    def __init__(
        self, *args: Any, tables: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        self.tables = dict(tables or {})
        if not set(self.tables) <= set(SPLITS):
            raise ValueError(
                f'tables must be by split, {[*SPLITS]}, got {[*self.tables]}'
            )
        super().__init__(*args, **kwargs)

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the tables of the split."""
        tables, folders = scan_above(self.data_root, PATIENT)
        patients: dict[str, list[str]] = defaultdict(list)
        for folder in folders:
            patients[os.path.basename(folder)].append(folder)
        return [
            case
            for split, path in self._find_tables(tables, problems).items()
            for case in self._read_table(path, split, patients, problems)
        ]

    def image_key(self, name: str) -> str:
        """Cuts a path down to patient, study and view."""
        return without_extension('/'.join(name.split('/')[-3:]))

    def _find_tables(
        self, found: Mapping[str, str], problems: Problems
    ) -> dict[str, str]:
        """Gives the table of each split that is needed."""
        paths = {}
        for split in self.needed_splits:
            names = [self.tables[split]] if split in self.tables else TABLES[split]
            tables = (self.find_table(name, found) for name in names)
            path = next(filter(None, tables), None)
            if path:
                paths[split] = path
            elif split in self.tables or self.needed_splits == (split,):
                problems.add(
                    f'{" or ".join(names)}, the table of {split}, is not there. Set '
                    f'data_root to a folder above it, or tables=dict({split}=...).'
                )
        if not paths and not problems:
            problems.add('No table is there. Set data_root to a folder above them.')
        return paths

    def _read_table(
        self,
        path: str,
        split: str,
        patients: Mapping[str, list[str]],
        problems: Problems,
    ) -> list[Case]:
        rows = self._read_rows(path, patients, problems)
        problems.found(
            f'values of Path in {path!r} that are no patientN/studyN/file',
            [row['Path'] for row in rows if not PATH.search(row['Path'])],
            'Take the table as it was downloaded.',
        )
        rows = [row for row in rows if PATH.search(row['Path'])]
        rows = self._select_views(rows, path, problems)
        scores = self.read_labels(rows, path, problems)
        return [
            self._case(end, score, split, patients)
            for row, score in zip(rows, scores, strict=True)
            if (end := PATH.search(row['Path']))
        ]

    def _read_rows(
        self, path: str, patients: Mapping[str, list[str]], problems: Problems
    ) -> list[dict[str, str]]:
        """Reads a row for each image, also of a table that has one for each study."""
        optional = [VIEW, PROJECTION, NO_FINDING]
        either = ['Path', STUDY, *optional]
        rows = read_table(path, self.labels, Problems(''), either)
        by_study = bool(rows) and 'Path' not in rows[0] and STUDY in rows[0]
        if not by_study and not (rows and 'Path' in rows[0]):
            # Once more, for what is wrong with it.
            rows = read_table(path, ['Path', *self.labels], problems, optional)
        if path not in self._own_tables():
            self.compare_published(path, len(rows), cells=self.cells_of_labels(rows))
        if not by_study:
            return rows
        expanded = [
            dict(row, Path=image)
            for row in rows
            for image in _images_of(row[STUDY], self.data_root, patients)
        ]
        there = {row[STUDY] for row in expanded}
        problems.found(
            f'studies in {path!r} without an image',
            [row[STUDY] for row in rows if row[STUDY] not in there],
            'Unpack the images below data_root.',
        )
        return expanded

    def _own_tables(self) -> set[str]:
        """The tables that an argument names, which need not be the official ones."""
        names = map(os.path.expanduser, self.tables.values())
        return {os.path.join(self.data_root, name) for name in names}

    def _select_views(
        self, rows: list[dict[str, str]], path: str, problems: Problems
    ) -> list[dict[str, str]]:
        if self.views == 'all':
            return rows
        views = [_view(row) for row in rows]
        problems.found(
            f'images in {path!r} that are neither frontal nor lateral',
            [
                row['Path']
                for row, view in zip(rows, views, strict=True)
                if view not in ('frontal', 'lateral')
            ],
            f"Fill in {VIEW}, or take views='all'.",
        )
        chosen = [r for r, view in zip(rows, views, strict=True) if view == self.views]
        odd = Counter(row.get(PROJECTION) for row in chosen if self.views == 'frontal')
        listed = ', '.join(f'{name} {odd[name]:,}' for name in LATERAL if odd[name])
        if listed:
            self.notes.append(
                f'{path!r}: of {len(chosen):,} images that {VIEW} calls frontal, '
                f'{PROJECTION} calls some left or right lateral: {listed}. They are in.'
            )
        return chosen

    def _case(
        self,
        end: re.Match[str],
        score: tuple[float, ...],
        split: str,
        patients: Mapping[str, list[str]],
    ) -> Case:
        path, patient = end.string, end['patient']
        folders = patients.get(patient)
        if folders:
            folder = _choose(folders, path[: end.end('patient')])
            image = os.path.join(folder, end['study'], end['file'])
        else:
            image = os.path.join(self.data_root, path)
        return Case(self.image_key(path), score, patient, split, image)


def _choose(folders: Sequence[str], named: str) -> str:
    """Gives the folder that the table names, else the first."""
    if len(folders) == 1:
        return folders[0]
    end = PurePath(named).parts
    fitting = (f for f in folders if PurePath(f).parts[-len(end) :] == end)
    return next(fitting, folders[0])


def _images_of(study: str, root: str, patients: Mapping[str, list[str]]) -> list[str]:
    """Lists the images of a study, as the column Path would name them."""
    named = PurePath(study)
    folders = patients.get(named.parent.name)
    patient = _choose(folders, str(named.parent)) if folders else ''
    folder = os.path.join(patient, named.name) if patient else f'{root}/{study}'
    if not os.path.isdir(folder):
        return []
    names = sorted(name for name in os.listdir(folder) if is_ours(name))
    return [f'{study}/{name}' for name in names if is_image(name)]


def _view(row: Mapping[str, str]) -> str:
    """Gives the view of a row; the test set has no column for it."""
    stem = os.path.splitext(row['Path'])[0]
    return (row.get(VIEW) or stem.rpartition('_')[2]).strip().lower()
